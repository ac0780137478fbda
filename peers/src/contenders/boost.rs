//! Boost.Context: its assembly, called through the thinnest wrapper there is. It preserves MXCSR and the x87 control word.

use core::ptr;

use context::stack::Stack as Memory;
use context::{Context, Transfer};

use crate::contender::{Body, Contender};
use crate::memory::Stack;

/// Its contexts.
pub(crate) struct Boost;

fn memory(stack: Stack) -> Memory {
    // SAFETY: an address at either end of one range.
    unsafe { Memory::new(stack.top().cast(), stack.bottom().cast()) }
}

extern "C" fn entry<B: Body<Boost>>(first: Transfer) -> ! {
    let mut resumer = first.context;
    // SAFETY: the running fiber's own.
    let last = unsafe { B::run(&raw mut resumer, first.data) };
    // SAFETY: the resumer waits, and is continued once.
    unsafe { resumer.resume(last) };
    unreachable!("a context that has ended was continued")
}

extern "C" fn only_once(first: Transfer) -> ! {
    // SAFETY: the resumer waits, and is continued once.
    unsafe { first.context.resume(first.data + 1) };
    unreachable!("a context that has ended was continued")
}

impl Contender for Boost {
    const NAME: &'static str = "boost";
    type Fiber = Context;
    type Way = *mut Context;
    type Kept = Memory;

    unsafe fn start<B: Body<Self>>(stack: Stack) -> Context {
        // SAFETY: the caller vouches for the memory.
        unsafe { Context::new(&memory(stack), entry::<B>) }
    }

    #[inline(always)]
    fn resume(fiber: &mut Context, word: usize) -> usize {
        // SAFETY: it is the only handle, and has not ended.
        unsafe { Self::suspend(fiber, word) }
    }

    fn end(fiber: Context, word: usize) -> usize {
        // SAFETY: it is the only handle, and has not ended.
        unsafe { fiber.resume(word) }.data
    }

    #[inline(always)]
    unsafe fn suspend(way: *mut Context, word: usize) -> usize {
        // SAFETY: the place holds the context of the other side; it is filled again below.
        let other = unsafe { ptr::read(way) };
        // SAFETY: the other side waits, and is continued once for each time that it left.
        let back = unsafe { other.resume(word) };
        // SAFETY: as above.
        unsafe { ptr::write(way, back.context) };
        back.data
    }

    unsafe fn keep(stack: Stack) -> Memory {
        memory(stack)
    }

    #[inline(always)]
    fn create(kept: &mut Memory, word: usize) -> usize {
        // SAFETY: the memory is ours, and the one before has ended.
        let fiber = unsafe { Context::new(kept, only_once) };
        Self::end(fiber, word)
    }
}
