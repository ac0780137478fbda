//! A chapter, without code: what happens when a fiber fails, that is, panics or causes an exception of the processor.
//!
//! **One fiber ends, the others go on.** It works with `panic = "abort"` on stable, and unwinds nothing. A kernel has it by
//! three calls: [`set_hooks`](crate::scheduler::Scheduler::set_hooks), so that somebody hears of it; `fiber_panicked`, first thing in its
//! `#[panic_handler]`; and `fiber_faulted` in the handlers of exceptions that code can cause: `#DE`, `#UD`, `#NP`, `#SS`, `#GP`,
//! `#PF`, `#AC`, `#XM`. Both say why if it cannot be: [`NotContained`](crate::scheduler::NotContained).
//!
//! ```text
//! use kfiber::scheduler::{ExceptionFrame, fiber_faulted, fiber_panicked};
//!
//! #[panic_handler]
//! fn on_panic(info: &PanicInfo<'_>) -> ! {
//!     let why = fiber_panicked(info);             // does not return if the panic was a fiber's
//!     stop(format_args!("{info}\nfatal: {why}"))
//! }
//!
//! fn on_exception(frame: &mut ExceptionFrame, vector: u8, error_code: u64) {
//!     let cr2 = if vector == 14 { read_cr2() } else { 0 };
//!     // SAFETY: called by the entry of the exception, which returns by `iretq` with what is in the frame then.
//!     if let Err(why) = unsafe { fiber_faulted(frame, vector, error_code, cr2) } {
//!         stop(format_args!("exception {vector}: {why}"))
//!     }
//! }
//! ```
//!
//! # The rule
//!
//! To all others it is as if the fiber stood still for ever at the place where it failed. No destructor runs. Its stack, what is
//! on it, and the cell are leaked and never used again; what it borrowed stays borrowed, what it locked stays locked. For
//! half of a change may have been made, and references to it may have been given away; nobody can know. But nobody waits for
//! it in vain: whoever would is told.
//!
//! | | what happens |
//! |---|---|
//! | who joins it, by any way | [`JoinErrorKind::Failed`](crate::scheduler::JoinErrorKind::Failed), with message and place, or with the exception; as a future, an error |
//! | its cell, its pool | lost: [`SpawnErrorKind::CellLost`](crate::scheduler::SpawnErrorKind::CellLost), [`Pool::lost_cells`](crate::stack::Pool::lost_cells) |
//! | a [`Mutex`](crate::sync::Mutex#poison) it has, an [`RwLock`](crate::sync::RwLock#poison) it writes | poisoned; those who wait are told at once |
//! | an `RwLock` it reads | goes on being read: writers wait, until their deadline |
//! | a [`Once`](crate::sync::Once) it makes | the next fiber that wants the value makes it |
//! | permits of a semaphore, messages taken out of a channel | are lost; a barrier waits for one more |
//! | the scope it was made in | waits for all others, and for those to whom it has lent; then its owner fails |
//! | fibers of a scope of its own | go on: what they have borrowed lies on its stack, which stays |
//! | a [`Fiber`](crate::fiber::Fiber) that failed while the scheduled fiber had resumed it | takes the scheduled one along; both stacks stay |
//! | fiber locals, sleeps, priorities | it is in no queue, and nobody looks there any more |
//! | [`Scheduler::fibers`](crate::scheduler::Scheduler::fibers) | shows it as [`FiberState::Failed`](crate::scheduler::FiberState::Failed), for good |
//!
//! Why the owner of a scope fails with its fiber: a scope that ended would give the owner back what the fiber had borrowed, and
//! code that relies on a panic either unwinding or ending everything could have left there anything. For the same reason
//! it is `unsafe` to put a poisoned mutex back to use. Fibers of another scheduler that already wait for a mutex of a fiber that
//! fails are not woken; give such waits a deadline.
//!
//! An overflow is reported as [`Report::Overflow`](super::Report::Overflow) where it is noticed, and not as
//! [`Report::FiberFailed`](super::Report::FiberFailed) again. The handler of `#PF` needs a stack of its own for that: see
//! [the chapter on overflows](super::overflow), which also says what is not seen.
//!
//! # What ends the kernel after all
//!
//! A panic or fault outside of fibers, inside the scheduler, with interrupts off (in a handler, under an
//! [`IrqMutex`](crate::sync::IrqMutex)), in [`without_waiting`](crate::scheduler::without_waiting), of a fiber that is being ended already,
//! with the stack pointer in another fiber's stack, or without hooks. For a fault all queues are looked at first: a stack that
//! was used up by a call *into* the scheduler can leave a queue half-changed. (One that was used up inside a lock or channel, at
//! the few instructions between taking a waiter out of its line and waking it, is not noticed; that waiter is then never woken.)
//!
//! # Waiting where it is odd
//!
//! | | |
//! |---|---|
//! | in a destructor | as anywhere else |
//! | in the panic handler, before `fiber_panicked` | as anywhere else: the panic waits for its turn meanwhile |
//! | in hooks | a panic: waiting is forbidden there, so that what a report lends does not change |
//! | while the panic's message is formatted | a panic, which is the second one, so it is fatal |
//! | with interrupts off, under an `IrqMutex`, in `without_waiting` | a panic, which is fatal there |
//!
//! # On a host
//!
//! A panic unwinds to where the fiber began. So destructors do run there, guards unlock, and a panic under an `IrqMutex` ends
//! only the fiber; everything else is the same, the joiner's error too, but that the place of the panic is not known. Without hooks,
//! and in a [`Fiber`](crate::fiber::Fiber), a panic ends the process.
