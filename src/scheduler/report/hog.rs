//! A fiber that does not let others run, as data and as text.

use super::backtrace::Backtrace;
use super::registers::Registers;
use crate::platform::Nanoseconds;
use crate::scheduler::graph::wait_graph_text::{Seconds, Who};
use crate::scheduler::task::header::Header;
use crate::scheduler::task::id::FiberId;
use crate::stack::StackBounds;
use core::fmt;

/// A fiber that does not let others run: data, which may be kept.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Hog {
    /// Which one.
    pub id: FiberId,
    /// Its name, empty if it has none.
    pub name: &'static str,
    /// For how long it has run, at least: since the first tick that found it at it.
    pub runs_for: Nanoseconds,
    /// Where it is now; perhaps within a handler that interrupted it.
    pub interrupted: Registers,
    /// Its stack.
    pub stack: StackBounds,
    calls: Backtrace,
}

impl Hog {
    /// # Safety
    ///
    /// The fiber runs, on this core.
    pub(crate) unsafe fn new(
        fiber: *const Header,
        runs_for: Nanoseconds,
        interrupted: Registers,
    ) -> Self {
        // SAFETY: the caller's promise.
        let header = unsafe { &*fiber };
        // SAFETY: the header is of a cell that has a fiber.
        let stack = unsafe { Header::stack(fiber) };
        Self {
            // SAFETY: it is alive.
            id: unsafe { FiberId::of(fiber) },
            name: header.name(),
            runs_for,
            interrupted,
            stack,
            // SAFETY: it is a cell's, of the fiber that was interrupted here.
            calls: unsafe { Backtrace::take(stack, interrupted.rbp) },
        }
    }

    /// The return addresses of the last 16 calls that it was in when the report was made, the innermost first, by a walk along
    /// rbp. There are none where the code has no frame pointers: then begin an unwinder with
    /// [`interrupted`](Self::interrupted).
    #[must_use]
    pub fn backtrace(&self) -> &[u64] {
        self.calls.as_slice()
    }
}

impl fmt::Display for Hog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (who, time) = (Who(self.id, self.name), Seconds(self.runs_for));
        let rip = self.interrupted.rip;
        writeln!(
            f,
            "hog: {who} has run for {time} without letting others run"
        )?;
        write!(f, "  it is at {rip:#x}")?;
        for address in self.backtrace() {
            write!(f, "\n  called from {address:#x}")?;
        }
        write!(
            f,
            "\n  call `yield_now` in its loops, or do the work in smaller pieces"
        )
    }
}
