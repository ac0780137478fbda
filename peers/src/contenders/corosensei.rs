//! corosensei: what all ratios are relative to.

use core::num::NonZero;

use corosensei::stack::StackPointer;
use corosensei::{Coroutine, CoroutineResult, ScopedCoroutine, Yielder};

use crate::contender::{Body, Contender, unexpected};
use crate::memory::Stack;

/// Its coroutines.
pub(crate) struct Corosensei;

/// The harness's memory as corosensei wants it.
pub(crate) struct Memory {
    top: StackPointer,
    bottom: StackPointer,
}

// SAFETY: `start` and `keep` ask for memory that nobody else uses; it is never unmapped. There is no guard page, and the
// bodies do not need one.
unsafe impl corosensei::stack::Stack for Memory {
    #[inline]
    fn base(&self) -> StackPointer {
        self.top
    }

    #[inline]
    fn limit(&self) -> StackPointer {
        self.bottom
    }
}

fn memory(stack: Stack) -> Memory {
    let address = |pointer: *mut u8| NonZero::new(pointer.expose_provenance()).expect("mapped");
    Memory {
        top: address(stack.top()),
        bottom: address(stack.bottom()),
    }
}

impl Contender for Corosensei {
    const NAME: &'static str = "corosensei";
    type Fiber = Coroutine<usize, usize, usize, Memory>;
    type Way = *const Yielder<usize, usize>;
    type Kept = Memory;

    unsafe fn start<B: Body<Self>>(stack: Stack) -> Self::Fiber {
        Coroutine::with_stack(memory(stack), |way: &Yielder<usize, usize>, first| {
            // SAFETY: the running fiber's own.
            unsafe { B::run(way, first) }
        })
    }

    #[inline(always)]
    fn resume(fiber: &mut Self::Fiber, word: usize) -> usize {
        match fiber.resume(word) {
            CoroutineResult::Yield(word) => word,
            CoroutineResult::Return(_) => unexpected(),
        }
    }

    fn end(mut fiber: Self::Fiber, word: usize) -> usize {
        match fiber.resume(word) {
            CoroutineResult::Return(word) => word,
            CoroutineResult::Yield(_) => unexpected(),
        }
    }

    #[inline(always)]
    unsafe fn suspend(way: Self::Way, word: usize) -> usize {
        // SAFETY: the caller's promise.
        unsafe { &*way }.suspend(word)
    }

    unsafe fn keep(stack: Stack) -> Memory {
        memory(stack)
    }

    // As its own benchmark does it, which is the fastest way that it has.
    #[inline(always)]
    fn create(kept: &mut Memory, word: usize) -> usize {
        let coroutine =
            ScopedCoroutine::<usize, usize, usize, _>::with_stack(kept, |_, word| word + 1);
        match coroutine.scope(|mut coroutine| coroutine.resume(word)) {
            CoroutineResult::Return(word) => word,
            CoroutineResult::Yield(_) => unexpected(),
        }
    }
}
