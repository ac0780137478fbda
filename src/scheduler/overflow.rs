//! A fiber's stack overflowed: who, how far, where, and whose memory was written over.
//!
//! | detector | needs | sees | costs |
//! |---|---|---|---|
//! | guard page | paging, [`guard::unmap`](crate::stack::guard::unmap), [`on_exception`] in `#PF` and `#DF` | the first byte below the stack, before it is written | nothing |
//! | watchpoint | a debug register, `watch::follow`, [`on_exception`] in `#DB` | the first write to the canary, right after it | the switch hook |
//! | canary | nothing | any write to it, when its fiber next switches or ends | see `docs/instructions.md` |
//! | stack pointer | nothing | a fiber that switches while it is below its stack | with the canary |
//!
//! All of them end in one [`Overflow`], which the scheduler's [`Hooks`](super::Hooks) are given, and the end of the fiber:
//! who joins it gets [`Failure::Overflowed`](super::Failure::Overflowed).
//!
//! # In the kernel's handlers
//!
//! `#PF`, `#DF`, and with watchpoints `#DB`, call [`on_exception`] first, each on a stack of its own: without an entry of the
//! interrupt stack table the processor has nowhere to push the frame, and resets (`guard::check_exception_stacks` tells).
//! If it was an overflow, the handler puts what `way_out` says into the frame and returns; or it stops the kernel.
//!
//! An overflow is one report: [`Report::Overflow`](super::Report::Overflow), when it is noticed. The end of the fiber is not
//! reported again. How the frame is written, and what `#DF` can do, is said at `Scheduler::way_out`.
//!
//! # What is not seen
//!
//! - What no detector of the table watches. A dense stack without a watchpoint that overflows by more than the canary, and does
//!   not come back to a switch, has written over whatever lies below, and nobody is told.
//! - A guard that was never unmapped: a `Guarded…` cell only has the room for it, and is a dense stack until
//!   [`guard::unmap`](crate::stack::guard::unmap) has returned `Ok`.
//! - Anything, where `#PF` or `#DF` has no IST stack: the processor cannot push the frame, and resets.
//! - A fault below a stack, further than a page from it and in nobody's memory: it may be one of the stack of a
//!   [`Fiber`](crate::fiber::Fiber), or of the kernel's. It ends the fiber as a fault.
//! - Without a guard, a frame that leaves the canary's word out, and is given back before its fiber switches. The switch looks
//!   at the upper four bytes of the canary, at the end of the fiber too; [`StackUsage`](crate::stack::StackUsage) at all eight.
//! - A stack pointer further than 64 KiB below its stack, where no fiber of the scheduler lives: that may be a stack of the
//!   kernel's. One on the stack of a [`Fiber`](crate::fiber::Fiber) is known as such.
//! - A stored stack pointer that was changed to one that works, of a fiber to which its equals hand over.
//! - Without hooks only the canary is looked at, and the kernel ends in a panic that names no fiber.
//!
//! Without the feature `stack-check` nothing is looked at when a fiber switches; guards and watchpoints remain, and the
//! canary for who asks. The cost of each is in `docs/instructions.md`: `yield_2`, `yield_2_unchecked`, `yield_2_watched`.
//!
//! [`on_exception`]: super::Scheduler::on_exception

mod backtrace;
pub(super) mod check;
mod classify;
pub(super) mod judge;
mod owner;
#[cfg(target_os = "none")]
pub mod watch;

pub(super) use backtrace::Backtrace;
pub use classify::Exception;
#[cfg(target_os = "none")]
pub use classify::WayOut;
pub use owner::{Neighbour, Part};

use super::header::Header;
use super::id::FiberId;
use super::registers::Registers;
use crate::stack::StackBounds;
use core::fmt;

/// What noticed an overflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Detector {
    /// The guard page: nothing was written.
    Guard,
    /// The watchpoint at the bottom of the stack: the write has happened.
    Watchpoint,
    /// The canary, when the fiber was about to leave its stack.
    Canary,
    /// The stack pointer, when the fiber was about to leave its stack.
    StackPointer,
    /// The stack pointer that was stored when the fiber last left its stack: it lies elsewhere now. Not this fiber overflowed,
    /// but somebody wrote over its control block.
    SavedStackPointer,
    /// The guard page of another fiber, [`damaged`](Overflow::damaged): nothing was written.
    GuardOfAnother,
}

/// A stack overflow: data, which may be kept. See the [module](self).
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Overflow {
    /// Which fiber.
    pub id: FiberId,
    /// Its name, empty if it has none.
    pub name: &'static str,
    /// Its stack.
    pub stack: StackBounds,
    /// What noticed it.
    pub detector: Detector,
    /// The lowest address that is known to have been used, or tried.
    pub address: usize,
    /// Where it was noticed.
    pub registers: Registers,
    /// Whether interrupts were off there, as in a handler that interrupted the fiber.
    pub with_interrupts_off: bool,
    /// Whose memory was written over, if that of another fiber of this scheduler was.
    pub damaged: Option<Neighbour>,
    /// Whether the same fiber was reported at the same place before: the handler of the exception returned to it, because it
    /// did not write the new rip and rsp into the frame. See [`Scheduler::on_exception`](super::Scheduler::on_exception).
    pub is_repeated: bool,
    calls: Backtrace,
}

impl Overflow {
    /// # Safety
    ///
    /// The header is a cell's that has a fiber, which runs on this core, or does not run.
    unsafe fn new(
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

    /// How far below the stack the address lies, in bytes; 0 if it is in the stack's floor, where the canary is.
    #[must_use]
    pub fn below_bytes(&self) -> usize {
        self.stack.bottom().addr().saturating_sub(self.address)
    }

    /// The return addresses along rbp, from the innermost out, as they were when the overflow was noticed: those of the last
    /// 16 calls in a kernel built with `-Cforce-frame-pointers=yes`, otherwise few or none. An unwinder begins with
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
            Detector::SavedStackPointer => "control block was written over",
            Detector::GuardOfAnother => "hit another's guard",
            _ => "stack overflowed",
        };
        writeln!(f, "fiber \"{name}\" ({id:?}): {what}")?;
        writeln!(
            f,
            "  stack {bottom:p}..{top:p}, {} bytes; {:#x} was used, {} bytes below it",
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
                "  interrupts were off: perhaps in a handler on the fiber's stack"
            )?;
        }
        match &self.damaged {
            Some(neighbour) if self.detector == Detector::GuardOfAnother => {
                writeln!(f, "  the guard is of {neighbour}")?;
            }
            Some(neighbour) => writeln!(f, "  written over: {neighbour}")?,
            None => {}
        }
        if self.is_repeated {
            return f.write_str(
                "  reported again: the handler returned without writing the new rip and rsp into the frame: \
                 use a volatile write through a pointer to the frame",
            );
        }
        match self.detector {
            Detector::SavedStackPointer => f.write_str(
                "  next: look at who else has a pointer there, and at the stack that lies above this control block",
            ),
            _ => f.write_str(
                "  next: a larger stack (`cargo xtask stacks` shows what is used), or less on it",
            ),
        }
    }
}
