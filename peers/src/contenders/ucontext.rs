//! `swapcontext` of the C library, which asks the system to switch the signal mask as well.

use core::mem::MaybeUninit;

use libc::ucontext_t;

use crate::contender::{Body, Contender};
use crate::memory::{STACK_BYTES, Stack};

/// Its contexts.
pub(crate) struct Ucontext;

/// Both sides, and the word between them.
pub(crate) struct Pair {
    own: ucontext_t,
    resumer: ucontext_t,
    word: usize,
}

type Entry = extern "C" fn(usize);

extern "C" fn entry<B: Body<Ucontext>>(pair: usize) {
    let pair = core::ptr::with_exposed_provenance_mut::<Pair>(pair);
    // SAFETY: `prepare` passed it, and the resumer touches nothing of it while we run.
    let first = unsafe { (*pair).word };
    // SAFETY: the running fiber's own.
    let last = unsafe { B::run(pair, first) };
    // SAFETY: as above. Returning continues `uc_link`, which is the resumer.
    unsafe { (*pair).word = last };
}

struct OnlyOnce;

impl Body<Ucontext> for OnlyOnce {
    unsafe fn run(_way: *mut Pair, first: usize) -> usize {
        first + 1
    }
}

/// Has `pair.own` begin with `entry` on this stack.
fn prepare(pair: &mut Pair, stack: Stack, entry: Entry) {
    let address = (&raw mut *pair).expose_provenance();
    pair.own.uc_stack.ss_sp = stack.bottom().cast();
    pair.own.uc_stack.ss_size = STACK_BYTES;
    pair.own.uc_link = &raw mut pair.resumer;
    // SAFETY: a function of one argument in a register; that it is declared as one of none is this function's custom.
    let entry = unsafe { core::mem::transmute::<Entry, extern "C" fn()>(entry) };
    // SAFETY: the context was filled by `getcontext`, and has its stack. On x86_64 arguments may be whole words.
    unsafe { libc::makecontext(&raw mut pair.own, entry, 1, address) };
}

fn new_pair() -> Box<Pair> {
    // SAFETY: numbers and pointers that may be zero.
    let mut pair = Box::new(unsafe { MaybeUninit::<Pair>::zeroed().assume_init() });
    // SAFETY: it fills what it is given.
    assert!(unsafe { libc::getcontext(&raw mut pair.own) } == 0);
    pair
}

fn resume(pair: &mut Pair, word: usize) -> usize {
    pair.word = word;
    let pair = &raw mut *pair;
    // SAFETY: the address of a field.
    let own = unsafe { &raw const (*pair).own };
    // SAFETY: as above.
    let resumer = unsafe { &raw mut (*pair).resumer };
    // SAFETY: the fiber waits, and the two contexts are not the same.
    unsafe { libc::swapcontext(resumer, own) };
    // SAFETY: the fiber waits, or has ended.
    unsafe { (*pair).word }
}

impl Contender for Ucontext {
    const NAME: &'static str = "ucontext";
    // A system call for each switch: more would say no more.
    const MOST_FIBERS: usize = 1000;
    type Fiber = Box<Pair>;
    type Way = *mut Pair;
    type Kept = (Box<Pair>, Stack);

    unsafe fn start<B: Body<Self>>(stack: Stack) -> Box<Pair> {
        let mut pair = new_pair();
        prepare(&mut pair, stack, entry::<B>);
        pair
    }

    #[inline(always)]
    fn resume(fiber: &mut Box<Pair>, word: usize) -> usize {
        resume(fiber, word)
    }

    fn end(mut fiber: Box<Pair>, word: usize) -> usize {
        resume(&mut fiber, word)
    }

    #[inline(always)]
    unsafe fn suspend(way: *mut Pair, word: usize) -> usize {
        // SAFETY: the caller's promise; the resumer waits.
        unsafe { (*way).word = word };
        // SAFETY: the address of a field.
        let own = unsafe { &raw mut (*way).own };
        // SAFETY: as above.
        let resumer = unsafe { &raw const (*way).resumer };
        // SAFETY: as above, and the two contexts are not the same.
        unsafe { libc::swapcontext(own, resumer) };
        // SAFETY: the resumer waits again.
        unsafe { (*way).word }
    }

    unsafe fn keep(stack: Stack) -> Self::Kept {
        (new_pair(), stack)
    }

    #[inline(always)]
    fn create(kept: &mut Self::Kept, word: usize) -> usize {
        let (pair, stack) = kept;
        prepare(pair, *stack, entry::<OnlyOnce>);
        resume(pair, word)
    }
}
