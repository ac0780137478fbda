//! What every contender is asked to do, in the same words.
//!
//! # The contract
//!
//! - A fiber is given memory for its stack, which was allocated before and is kept afterwards.
//! - One word goes in with each resume, one comes out with each suspension, and one more when the fiber ends.
//! - The handle lies in memory, as it does in a program with more than one fiber.
//! - Who keeps a fiber that has ended from being resumed is part of what is measured: `kfiber`, `corosensei`, the fibers of
//!   `wasmtime` and `generator` check it; Boost and `ucontext` leave it to the caller.

use crate::memory::Stack;

/// The word that asks a fiber to end.
pub(crate) const STOP: usize = usize::MAX;

/// A library with fibers that are resumed and suspend themselves.
pub(crate) trait Contender: Sized + 'static {
    /// What it is called in the figures.
    const NAME: &'static str;
    /// The largest ring that it can be asked for.
    const MOST_FIBERS: usize = usize::MAX;
    /// The resumer's handle.
    type Fiber;
    /// The fiber's way back to its resumer: a pointer.
    type Way: Copy;
    /// What is kept between two fibers that run on the same stack one after the other.
    type Kept;

    /// Makes a fiber that will run `B`.
    ///
    /// # Safety
    ///
    /// Nobody else uses the stack as long as the fiber lives.
    unsafe fn start<B: Body<Self>>(stack: Stack) -> Self::Fiber;

    /// Resumes a fiber, which suspends itself.
    fn resume(fiber: &mut Self::Fiber, word: usize) -> usize;

    /// Resumes a fiber, which ends.
    fn end(fiber: Self::Fiber, word: usize) -> usize;

    /// Suspends the fiber that runs.
    ///
    /// # Safety
    ///
    /// `way` is what the body of the running fiber was called with.
    unsafe fn suspend(way: Self::Way, word: usize) -> usize;

    /// Prepares for [`create`](Self::create).
    ///
    /// # Safety
    ///
    /// Nobody else uses the stack.
    unsafe fn keep(stack: Stack) -> Self::Kept;

    /// Makes a fiber on the kept stack, resumes it once with `word`, and drops it: its body returns `word` plus one.
    fn create(kept: &mut Self::Kept, word: usize) -> usize;
}

/// What a fiber does.
pub(crate) trait Body<C: Contender>: 'static {
    /// Runs as the fiber; returns its last word.
    ///
    /// # Safety
    ///
    /// `way` is that of the running fiber.
    unsafe fn run(way: C::Way, first: usize) -> usize;
}

/// A fiber ended, or did not, against what its body says.
#[cold]
#[inline(never)]
pub(crate) fn unexpected() -> ! {
    panic!("a fiber ended too early, or did not end")
}
