//! The fibers of wasmtime: six registers pushed and popped in a function of its own, and a result cell on the other stack.

use wasmtime_internal_fiber::{Fiber, FiberStack, Suspend};

use crate::contender::{Body, Contender, unexpected};
use crate::memory::{STACK_BYTES, Stack};

/// Its fibers.
pub(crate) struct Wasmtime;

unsafe fn memory(stack: Stack) -> FiberStack {
    // SAFETY: the caller vouches for the memory.
    unsafe { FiberStack::from_raw_parts(stack.bottom(), 0, STACK_BYTES) }.expect("a plain range")
}

impl Contender for Wasmtime {
    const NAME: &'static str = "wasmtime";
    type Fiber = Fiber<'static, usize, usize, usize>;
    type Way = *mut Suspend<usize, usize, usize>;
    type Kept = Option<FiberStack>;

    unsafe fn start<B: Body<Self>>(stack: Stack) -> Self::Fiber {
        // SAFETY: the caller's promise.
        let stack = unsafe { memory(stack) };
        let fiber = Fiber::new(stack, |first, way| {
            // SAFETY: the running fiber's own.
            unsafe { B::run(way, first) }
        });
        fiber.map_err(|(error, _)| error).expect("supported here")
    }

    #[inline(always)]
    fn resume(fiber: &mut Self::Fiber, word: usize) -> usize {
        match fiber.resume(word) {
            Err(word) => word,
            Ok(_) => unexpected(),
        }
    }

    fn end(fiber: Self::Fiber, word: usize) -> usize {
        match fiber.resume(word) {
            Ok(word) => word,
            Err(_) => unexpected(),
        }
    }

    #[inline(always)]
    unsafe fn suspend(way: Self::Way, word: usize) -> usize {
        // SAFETY: the caller's promise.
        unsafe { &mut *way }.suspend(word)
    }

    unsafe fn keep(stack: Stack) -> Self::Kept {
        // SAFETY: the caller's promise.
        Some(unsafe { memory(stack) })
    }

    #[inline(always)]
    fn create(kept: &mut Self::Kept, word: usize) -> usize {
        let stack = kept.take().expect("it is given back below");
        let body = |word: usize, _: &mut Suspend<usize, usize, usize>| word + 1;
        let fiber = Fiber::new(stack, body).map_err(|(error, _)| error);
        let fiber = fiber.expect("supported here");
        let Ok(word) = fiber.resume(word) else {
            unexpected()
        };
        *kept = Some(fiber.into_stack());
        word
    }
}
