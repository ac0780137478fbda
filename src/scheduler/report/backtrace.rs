//! The walk along rbp through one stack, for reports: it reads that stack, and nothing else, whatever the words there say.

use crate::stack::StackBounds;
use core::fmt;

/// No report has more.
const MOST_FRAMES: usize = 16;

/// Return addresses, from the innermost out, as they were when the report was made.
#[derive(Clone, Copy)]
pub(crate) struct Backtrace {
    addresses: [u64; MOST_FRAMES],
    count: usize,
}

impl Backtrace {
    /// Walks through a stack, from the frame that `rbp` points to.
    ///
    /// # Safety
    ///
    /// The stack is a cell's, so that it stays readable for good, and nobody writes to it meanwhile: its fiber was
    /// interrupted, or runs on this core and has come here.
    pub(crate) unsafe fn take(stack: StackBounds, rbp: u64) -> Self {
        let mut backtrace = Self {
            addresses: [0; MOST_FRAMES],
            count: 0,
        };
        let mut frame = rbp;
        for address in &mut backtrace.addresses {
            // SAFETY: the caller's promise.
            let Some([callers, rip]) = (unsafe { record(stack, frame) }) else {
                break;
            };
            *address = rip;
            backtrace.count += 1;
            // Callers are further up; a chain that goes down again is none.
            frame = if callers > frame { callers } else { 0 };
        }
        backtrace
    }

    /// The addresses, which are data.
    pub(crate) fn as_slice(&self) -> &[u64] {
        &self.addresses[..self.count]
    }
}

impl fmt::Debug for Backtrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x?}", self.as_slice())
    }
}

/// The frame record at this address: the caller's rbp, and the return address. Nothing if none can be there.
///
/// # Safety
///
/// As [`Backtrace::take`].
unsafe fn record(stack: StackBounds, rbp: u64) -> Option<[u64; 2]> {
    let at = usize::try_from(rbp).ok()?;
    let is_ours = stack.contains(at) && stack.contains(at.wrapping_add(15)) && at.is_multiple_of(8);
    let offset = is_ours.then(|| at - stack.bottom().addr())?;
    let words: *const [u64; 2] = stack.bottom().wrapping_add(offset).cast();
    // SAFETY: aligned, and within the stack, by the caller's promise.
    let record = unsafe { words.read_volatile() };
    (record[1] != 0).then_some(record)
}
