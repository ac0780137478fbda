//! Stack overflows of fibers: how they are detected, how far the fiber went, where it was noticed,
//! and whose memory was overwritten.
//!
//! | detector | requires | detects | costs |
//! |---|---|---|---|
//! | guard page | paging, [`guard::unmap`](crate::stack::guard::unmap), `exceptions::handle` in `#PF` and `#DF` | the first access below the stack, before anything is written | nothing |
//! | watchpoint | a debug register, `watch::on_switch`, `exceptions::handle` in `#DB` | the first write to the canary, right after it | the switch hook |
//! | canary | nothing | any write to the canary, when its fiber next switches or ends | see `docs/instructions.md` |
//! | stack pointer | nothing | a fiber that switches while its stack pointer is below its stack | included in the canary's cost |
//!
//! Each of them leads to one [`Overflow`], which is passed to the scheduler's
//! [`Hooks`](crate::scheduler::Hooks), and to the end of the fiber: whoever joins it gets
//! [`Failure::Overflowed`](crate::scheduler::Failure::Overflowed).
//!
//! # In the kernel's handlers
//!
//! The handlers of `#PF`, `#DF`, and with watchpoints `#DB`, call `exceptions::handle`. Each
//! needs a stack of its own: without an entry in the interrupt stack table the processor has no
//! place to push the frame, and resets (`guard::check_exception_stacks` detects this). If the
//! exception was an overflow, `handle` has changed the frame so that returning from the exception
//! ends the fiber. `exceptions::install` puts such handlers into a table.
//!
//! An overflow is reported once, as [`Report::Overflow`](super::Report::Overflow), when it is
//! noticed. The end of the fiber is not reported again.
//!
//! # What is not detected
//!
//! - Anything that no detector of the table watches. If a dense stack without a watchpoint
//!   overflows by more than the canary, and its fiber never switches again, it has overwritten
//!   whatever lies below, and nobody is told.
//! - A guard that was never unmapped. A `Guarded…` cell only has the room for a guard, and is a
//!   dense stack until [`guard::unmap`](crate::stack::guard::unmap) has returned `Ok`.
//! - Anything at all if `#PF` or `#DF` has no IST stack: the processor cannot push the frame, and
//!   resets.
//! - A fault below a stack that is more than a page away from it and in the memory of no fiber. It
//!   may belong to the stack of a [`Fiber`](crate::fiber::Fiber), or to a stack of the kernel. It
//!   ends the fiber as a fault.
//! - Without a guard, a frame that skips the canary's word and is popped before its fiber switches.
//!   The switch, like the end of the fiber, checks the upper four bytes of the canary;
//!   [`StackUsage`](crate::stack::StackUsage) checks all eight.
//! - A stack pointer more than 64 KiB below its stack, where no fiber of the scheduler lives. It
//!   may be on a stack of the kernel. A stack pointer on the stack of a
//!   [`Fiber`](crate::fiber::Fiber) is recognised as such.
//! - A stored stack pointer that was changed to another valid one, of a fiber to which fibers of
//!   the same priority yield, or to one outside of all stacks of the scheduler. The fiber may be
//!   within a [`Fiber`](crate::fiber::Fiber), whose stack the scheduler does not know.
//! - Without hooks, only the canary is checked, and the kernel ends in a panic that names no fiber.
//!
//! Without the feature `stack-check` nothing is checked when a fiber switches. Guards and
//! watchpoints remain, and the canary can still be checked on request. The cost of each is in
//! `docs/instructions.md`: `yield_2`, `yield_2_unchecked`, `yield_2_watched`.

#[cfg(all(feature = "x86_64", not(target_os = "linux")))]
pub use crate::scheduler::fail::watch;
pub use crate::scheduler::report::neighbour::{Neighbour, Part};
pub use crate::scheduler::report::overflow::{Detector, Overflow};
