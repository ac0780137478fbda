//! The crate `generator`, on which `may` stands.

use generator::{Gn, LocalGenerator, Scope};

use crate::contender::{Body, Contender, unexpected};
use crate::memory::{STACK_BYTES, Stack};

/// Its generators. They map their stacks themselves.
pub(crate) struct Generator;

/// Twice, for it keeps what it knows of the generator there too.
const WORDS: usize = 2 * STACK_BYTES / size_of::<usize>();

impl Contender for Generator {
    const NAME: &'static str = "generator";
    // A mapping and a guard page for each: the system allows about 65,000 mappings.
    const MOST_FIBERS: usize = 10_000;
    type Fiber = LocalGenerator<'static, usize, usize>;
    type Way = *mut Scope<'static, 'static, usize, usize>;
    type Kept = LocalGenerator<'static, usize, usize>;

    unsafe fn start<B: Body<Self>>(_stack: Stack) -> Self::Fiber {
        Gn::new_scoped_opt_local(WORDS, |mut scope: Scope<'_, '_, usize, usize>| {
            let first = scope.get_yield().expect("resumed with a word");
            // SAFETY: the running fiber's own, and used within this call only.
            unsafe { B::run((&raw mut scope).cast(), first) }
        })
    }

    #[inline(always)]
    fn resume(fiber: &mut Self::Fiber, word: usize) -> usize {
        match fiber.raw_send(Some(word)) {
            Some(word) => word,
            None => unexpected(),
        }
    }

    fn end(mut fiber: Self::Fiber, word: usize) -> usize {
        let last = fiber.raw_send(Some(word)).expect("it returns a word");
        assert!(fiber.is_done(), "it was asked to end");
        last
    }

    #[inline(always)]
    unsafe fn suspend(way: Self::Way, word: usize) -> usize {
        // SAFETY: the caller's promise.
        match unsafe { &mut *way }.yield_(word) {
            Some(word) => word,
            None => unexpected(),
        }
    }

    unsafe fn keep(_stack: Stack) -> Self::Kept {
        let mut generator =
            Gn::new_scoped_opt_local(WORDS, |_: Scope<'_, '_, usize, usize>| 0_usize);
        generator.raw_send(Some(0));
        generator
    }

    #[inline(always)]
    fn create(kept: &mut Self::Kept, word: usize) -> usize {
        kept.scoped_init(|mut scope| scope.get_yield().expect("resumed with a word") + 1);
        match kept.raw_send(Some(word)) {
            Some(word) => word,
            None => unexpected(),
        }
    }
}
