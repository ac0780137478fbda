//! A chapter without code: what happens when a fiber fails, that is, when it panics or causes an
//! exception of the processor.
//!
//! **One fiber ends, the others go on.** This works on stable Rust with `panic = "abort"`, and
//! unwinds nothing. A kernel gets it with three calls:
//!
//! - [`set_hooks`](crate::scheduler::Scheduler::set_hooks), so that somebody is told;
//!   [`PrintReports`](crate::scheduler::PrintReports) are hooks that print everything;
//! - `fiber_panicked`, as the first call in its `#[panic_handler]`;
//! - `exceptions::install`, for the exceptions that code can cause, or `exceptions::handle` in
//!   handlers of its own. `exceptions::Tables` call `install` for a kernel without descriptor tables.
//!
//! Where the fiber cannot be ended alone, these say why:
//! [`FatalReason`](crate::scheduler::FatalReason). The documentation of the module `exceptions`
//! shows all three calls.
//!
//! # The rule
//!
//! To all other fibers it is as if the failed fiber stood still for ever at the place where it
//! failed. No destructor runs. Its stack, everything on it, and its cell are leaked and never used
//! again. What the fiber borrowed stays borrowed, and what it locked stays locked. The reason is
//! that it may have made half of a change, and may have given references away, which nobody can
//! know. But nobody waits for the fiber in vain: whoever would is told.
//!
//! | | what happens |
//! |---|---|
//! | whoever joins it, in any way | gets [`JoinErrorKind::Failed`](crate::scheduler::JoinErrorKind::Failed), with message and place, or with the exception; as a future, an error |
//! | its cell, its pool | the cell is lost: [`SpawnErrorKind::CellLost`](crate::scheduler::SpawnErrorKind::CellLost), [`Pool::lost_cells`](crate::stack::Pool::lost_cells) |
//! | a [`Mutex`](crate::sync::Mutex#poison) that it holds, an [`RwLock`](crate::sync::RwLock#poison) that it holds for writing | is poisoned; its waiters are told at once |
//! | an `RwLock` that it holds for reading | stays locked for reading: writers wait, until their deadline |
//! | a [`Once`](crate::sync::Once) that it initialises | is initialised by the next fiber that wants the value |
//! | permits of a semaphore, messages taken out of a channel | are lost; a barrier waits for one more fiber |
//! | the scope in which it was spawned | waits for all other fibers, and for those to which the failed one has lent; then its owner fails |
//! | fibers of a scope of its own | go on: what they have borrowed lies on its stack, which stays |
//! | a [`Fiber`](crate::fiber::Fiber) that failed while a scheduled fiber had resumed it | takes the scheduled fiber along; both stacks stay |
//! | fiber locals, sleeps, priorities | the fiber is in no queue, and nobody looks at them any more |
//! | [`Scheduler::fibers`](crate::scheduler::Scheduler::fibers) | shows it as [`FiberState::Failed`](crate::scheduler::FiberState::Failed), permanently |
//!
//! The owner of a scope fails with a fiber of the scope for this reason: if the scope ended, the
//! owner would get back what the fiber had borrowed. Code that relies on a panic either unwinding
//! or ending everything could have left it in any state. For the same reason it is `unsafe` to make
//! a poisoned mutex usable again. If fibers of another scheduler already wait for a mutex of a
//! fiber that fails, they are not woken; give such waits a deadline.
//!
//! An overflow is reported as [`Report::Overflow`](super::Report::Overflow) where it is noticed. It
//! is not reported again as [`Report::FiberFailed`](super::Report::FiberFailed). The handler of
//! `#PF` needs a stack of its own for this: see [the chapter on overflows](super::overflow), which
//! also says what is not detected.
//!
//! # What still ends the kernel
//!
//! A panic or fault still ends the kernel in these cases:
//!
//! - outside of fibers, and inside the scheduler;
//! - with interrupts off (in a handler, or under an [`IrqMutex`](crate::sync::IrqMutex));
//! - in [`without_waiting`](crate::scheduler::without_waiting);
//! - if the fiber is being ended already;
//! - if the stack pointer is in another fiber's stack;
//! - without hooks.
//!
//! After a fault all queues are checked first, because a call *into* the scheduler that exhausts
//! the stack can leave a queue half-changed. (If the stack is exhausted inside a lock or a channel,
//! at the few instructions between removing a waiter from its queue and waking it, this is not
//! noticed. That waiter is then never woken.)
//!
//! # Waiting in unusual places
//!
//! | where | what happens |
//! |---|---|
//! | in a destructor | the same as anywhere else |
//! | in the panic handler, before `fiber_panicked` | the same as anywhere else: the panic waits for its turn meanwhile |
//! | in hooks | a panic: waiting is forbidden there, so that what a report lends does not change |
//! | while the panic's message is formatted | a panic, which is the second one, so it is fatal |
//! | with interrupts off, under an `IrqMutex`, in `without_waiting` | a panic, which is fatal there |
//!
//! # On a host
//!
//! A panic unwinds to where the fiber began. Destructors therefore run, guards unlock, and a panic
//! under an `IrqMutex` ends only the fiber. Everything else is the same, including the joiner's
//! error, except that the place of the panic is not known. Without hooks, and in a
//! [`Fiber`](crate::fiber::Fiber), a panic ends the process.
