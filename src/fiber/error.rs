//! The errors of making and resuming a fiber. Each error gives back the values that it was given.

use crate::scheduler::made_by::MadeBy;
#[cfg(all(feature = "stack-check", not(any(miri, kfiber_threads))))]
use crate::stack::StackBounds;
use core::fmt;

/// The reason why a fiber could not be made.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NewFiberErrorKind {
    /// The stack is too small for the closure, for its result, or for the value that it takes.
    StackTooSmall {
        /// The number of bytes that the stack needs at least.
        needed_bytes: usize,
        /// The number of bytes that the stack has.
        size_bytes: usize,
    },
}

/// The error returned when a fiber could not be made. It gives the stack and the closure back.
///
/// ```
/// use kfiber::fiber::{Fiber, Yielder};
/// use kfiber::stack::ForeignStack;
/// # let memory = Box::leak(Box::new(kfiber::stack::Stack::<1024>::new()));
/// # let bottom = core::ptr::from_mut(memory).cast();
///
/// // SAFETY: the memory was leaked, so it is ours for good, and nobody else has it.
/// let stack = unsafe { ForeignStack::new(bottom, 1024, 0) }.expect("aligned");
/// let large = [7_u8; 4096];
/// let error = Fiber::new(stack, move |_: &Yielder<(), ()>, ()| large[0]).expect_err("too large");
/// println!("{error}"); // what it would need
/// let (stack, closure) = (error.stack, error.closure);
/// # drop((stack, closure));
/// ```
pub struct NewFiberError<S, F> {
    /// The stack, unchanged.
    pub stack: S,
    /// The closure, which did not run.
    pub closure: F,
    /// The reason for the error.
    pub kind: NewFiberErrorKind,
}

debug_is_display!(NewFiberErrorKind);

impl fmt::Display for NewFiberErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::StackTooSmall {
                needed_bytes,
                size_bytes,
            } => write!(
                f,
                "stack of {size_bytes} bytes is too small for this closure: it needs at least {needed_bytes}"
            ),
        }
    }
}

debug_is_display!(<S, F> NewFiberError<S, F>);

impl<S, F> fmt::Display for NewFiberError<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl<S, F> core::error::Error for NewFiberError<S, F> {}

/// The error returned when a fiber that has finished is resumed. It gives the value back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FiberFinished<I>(pub I);

debug_is_display!(<I> FiberFinished<I>);

impl<I> fmt::Display for FiberFinished<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("fiber has finished: make a new one to run again")
    }
}

impl<I> core::error::Error for FiberFinished<I> {}

/// Panics at the place of the resume.
#[cold]
#[inline(never)]
#[track_caller]
pub(super) fn resumed_after_end() -> ! {
    panic!("resumed a fiber that has finished: ask `is_finished`, or use `try_resume`")
}

/// Panics because the resumed fiber overflowed its stack.
#[cfg(all(feature = "stack-check", not(any(miri, kfiber_threads))))]
#[cold]
#[inline(never)]
#[track_caller]
pub(super) fn overflowed(stack: StackBounds) -> ! {
    panic!(
        "a `Fiber` overflowed its stack at {:p}..{:p}, {} bytes: the canary at its bottom was written over, and so may be what lies \
         below; give it a larger stack, or one with a guard page",
        stack.bottom(),
        stack.top(),
        stack.size_bytes()
    );
}

/// Panics because the resumed fiber belongs to other code.
#[cold]
#[inline(never)]
#[track_caller]
pub(super) fn resumed_elsewhere(made_by: MadeBy) -> ! {
    let here = MadeBy::current();
    panic!(
        "a `Fiber` that belongs to {made_by} was resumed by {here}: it goes on only where it was made; a thread local must not carry \
         it to another fiber"
    );
}
