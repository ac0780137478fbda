//! A walk along rbp through one stack, for reports. It reads only that stack, whatever the words
//! there say.

use crate::stack::StackBounds;
use core::fmt;

/// The largest number of frames in a report.
const MOST_FRAMES: usize = 16;

/// The return addresses when the report was made, from the innermost to the outermost.
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
    /// The stack is that of a cell, so that it stays readable permanently. Nobody writes to it
    /// meanwhile: its fiber was interrupted, or is the one that called this on this core.
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
            // Callers are further up, so a chain that goes down again is invalid.
            frame = if callers > frame { callers } else { 0 };
        }
        backtrace
    }

    /// Returns the addresses. They are data, not pointers.
    pub(crate) fn as_slice(&self) -> &[u64] {
        &self.addresses[..self.count]
    }
}

impl fmt::Debug for Backtrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x?}", self.as_slice())
    }
}

/// Returns the frame record at this address: the caller's rbp and the return address. Returns
/// `None` if there cannot be one.
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
