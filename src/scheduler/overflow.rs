//! A fiber's stack overflowed: who, how far, where, and whose memory was written over.
//!
//! | detector | needs | sees | costs |
//! |---|---|---|---|
//! | guard page | paging, [`guard::unmap`](crate::stack::guard::unmap), [`on_exception`] in `#PF` and `#DF` | the first byte below the stack, before it is written | nothing |
//! | watchpoint | a debug register, `watch::follow`, [`on_exception`] in `#DB` | the first write to the canary, right after it | the switch hook |
//! | canary | nothing | any write to it, when its fiber next switches or ends | see `docs/instructions.md` |
//! | stack pointer | nothing | a fiber that switches while it is below its stack | with the canary |
//!
//! All of them end in one [`Overflow`], which the scheduler's [`Hooks`](crate::scheduler::Hooks) are given, and the end of the fiber:
//! who joins it gets [`Failure::Overflowed`](crate::scheduler::Failure::Overflowed).
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
//! [`on_exception`]: crate::scheduler::Scheduler::on_exception

pub use crate::scheduler::fail::exception::Exception;
#[cfg(target_os = "none")]
pub use crate::scheduler::fail::exception::WayOut;
#[cfg(target_os = "none")]
pub use crate::scheduler::fail::watch;
pub use crate::scheduler::report::neighbour::{Neighbour, Part};
pub use crate::scheduler::report::overflow::{Detector, Overflow};
