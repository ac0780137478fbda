//! A stack overflow as data, and as text for a report.

use super::backtrace::Backtrace;
use super::neighbour::Neighbour;
use super::registers::Registers;
use crate::scheduler::task::header::Header;
use crate::scheduler::task::id::FiberId;
use crate::stack::StackBounds;
use core::fmt;

/// The check that noticed an overflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Detector {
    /// The guard page. Nothing was written.
    Guard,
    /// The watchpoint at the bottom of the stack. The write has happened.
    Watchpoint,
    /// The canary, when the fiber was about to leave its stack.
    Canary,
    /// The stack pointer, when the fiber was about to leave its stack.
    StackPointer,
    /// The stack pointer that was stored when the fiber last left its stack, and that now points
    /// elsewhere. The fiber itself did not overflow; its control block was overwritten by somebody
    /// else.
    SavedStackPointer,
    /// The guard page of another fiber, [`damaged`](Overflow::damaged). Nothing was written.
    GuardOfAnother,
}

/// A stack overflow. This is data, which can be kept. See [the
/// chapter](crate::scheduler::overflow).
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Overflow {
    /// The id of the fiber.
    pub id: FiberId,
    /// The name of the fiber, or an empty string if it has none.
    pub name: &'static str,
    /// The bounds of the fiber's stack.
    pub stack: StackBounds,
    /// The check that noticed the overflow.
    pub detector: Detector,
    /// The lowest address that is known to have been used or accessed.
    pub address: usize,
    /// The registers where the overflow was noticed.
    pub registers: Registers,
    /// Whether interrupts were off there, as in a handler that interrupted the fiber.
    pub with_interrupts_off: bool,
    /// The fiber of this scheduler whose memory was overwritten, if there is one.
    pub damaged: Option<Neighbour>,
    /// Whether the same fiber was reported at the same place before. If so, the handler of the
    /// exception returned to the fiber, because what `exceptions::handle` wrote into the frame did
    /// not reach the frame that the processor had pushed.
    pub is_repeated: bool,
    pub(crate) calls: Backtrace,
}

impl Overflow {
    /// # Safety
    ///
    /// The header is that of a cell that has a fiber. The fiber runs on this core, or does not run.
    pub(crate) unsafe fn new(
        fiber: &'static Header,
        detector: Detector,
        address: usize,
        registers: Registers,
    ) -> Self {
        // SAFETY: it had a fiber.
        let stack = unsafe { Header::stack(fiber) };
        Self {
            // SAFETY: it is alive.
            id: unsafe { FiberId::of(fiber) },
            name: fiber.name(),
            stack,
            detector,
            address,
            registers,
            with_interrupts_off: false,
            damaged: None,
            is_repeated: false,
            // SAFETY: it is a cell's, and the caller's promise.
            calls: unsafe { Backtrace::take(stack, registers.rbp) },
        }
    }

    /// Returns how far below the stack the address lies, in bytes. This is 0 if the address is in
    /// the stack's floor, where the canary is.
    #[must_use]
    pub fn below_bytes(&self) -> usize {
        self.stack.bottom().addr().saturating_sub(self.address)
    }

    /// Returns the return addresses along rbp, from the innermost to the outermost, when the
    /// overflow was noticed. In a kernel built with `-Cforce-frame-pointers=yes` they are those of
    /// the last 16 calls; otherwise there are few or none. An unwinder can start with
    /// [`registers`](Self::registers).
    #[must_use]
    pub fn backtrace(&self) -> &[u64] {
        self.calls.as_slice()
    }
}

debug_is_display!(Overflow);

impl fmt::Display for Overflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            id, name, stack, ..
        } = self;
        let (bottom, top) = (stack.bottom(), stack.top());
        let what = match self.detector {
            Detector::SavedStackPointer => "control block was overwritten",
            Detector::GuardOfAnother => "hit the guard page of another stack",
            _ => "stack overflowed",
        };
        writeln!(f, "fiber \"{name}\" ({id:?}): {what}")?;
        writeln!(
            f,
            "  stack {bottom:p}..{top:p}, {} bytes; {:#x} was used, {} bytes below the stack",
            stack.size_bytes(),
            self.address,
            self.below_bytes(),
        )?;
        let noticed = match self.detector {
            Detector::Guard => "by the guard page, before anything was written",
            Detector::Watchpoint => "by the watchpoint at its bottom, right after the write",
            Detector::Canary => "by the canary at its bottom, when the fiber was to leave it",
            Detector::StackPointer => "by the stack pointer, when the fiber was to leave it",
            Detector::SavedStackPointer => {
                "by the stored stack pointer, when the fiber was to run again"
            }
            Detector::GuardOfAnother => "by that guard page, before anything was written",
        };
        writeln!(f, "  noticed {noticed}")?;
        writeln!(f, "  {}", self.registers)?;
        for rip in self.backtrace() {
            writeln!(f, "  called from rip={rip:#x}")?;
        }
        if self.with_interrupts_off {
            writeln!(
                f,
                "  interrupts were off: perhaps an interrupt handler ran on the fiber's stack"
            )?;
        }
        match &self.damaged {
            Some(neighbour) if self.detector == Detector::GuardOfAnother => {
                writeln!(f, "  the guard page belongs to {neighbour}")?;
            }
            Some(neighbour) => writeln!(f, "  overwritten: {neighbour}")?,
            None => {}
        }
        if self.is_repeated {
            return f.write_str(
                "  reported again: the handler returned without the new rip and rsp in the processor's frame: \
                 enter by `interrupt_entry!`, or call `handle_x86_interrupt`",
            );
        }
        match self.detector {
            Detector::SavedStackPointer => f.write_str(
                "  next: find out what else points there, and check the stack that lies above this control block",
            ),
            _ => f.write_str(
                "  next: give the fiber a larger stack, or keep less on it; `Scheduler::high_water_marks` shows what is used",
            ),
        }
    }
}
