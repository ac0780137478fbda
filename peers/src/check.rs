//! Verifies without measuring, after it has shown that it would notice.

use std::panic;

use crate::bench::Entry;
use crate::contender::{Body, Contender};
use crate::contenders::kfiber::Kfiber;
use crate::memory::Stack;

/// Everybody in every shape, a few laps.
///
/// # Panics
///
/// Panics if anything is wrong.
pub(crate) fn check() {
    notices_what_is_lost();
    let mut entries = crate::of_switches(1, &[]);
    entries.extend(crate::of_schedulers(1, &[]));
    let count = entries.len();
    for entry in entries {
        go(entry);
    }
    println!("{count} benches verified");
}

fn go(mut entry: Entry) {
    for laps in [1, 2, 7] {
        entry.bench.run(laps);
    }
    entry.bench.finish();
}

/// kfiber, but the fibers get another word now and then.
struct Forgetful;

impl Contender for Forgetful {
    const NAME: &'static str = "forgetful";
    const MOST_FIBERS: usize = 1000;
    type Fiber = (<Kfiber as Contender>::Fiber, u32);
    type Way = <Kfiber as Contender>::Way;
    type Kept = <Kfiber as Contender>::Kept;

    unsafe fn start<B: Body<Self>>(stack: Stack) -> Self::Fiber {
        /// What kfiber is to run.
        struct Inner<B>(core::marker::PhantomData<B>);
        impl<B: Body<Forgetful>> Body<Kfiber> for Inner<B> {
            unsafe fn run(way: <Kfiber as Contender>::Way, first: usize) -> usize {
                // SAFETY: the caller's promise.
                unsafe { B::run(way, first) }
            }
        }
        // SAFETY: the caller's promise.
        (unsafe { Kfiber::start::<Inner<B>>(stack) }, 0)
    }

    fn resume(fiber: &mut Self::Fiber, word: usize) -> usize {
        fiber.1 += 1;
        Kfiber::resume(&mut fiber.0, if fiber.1 == 5 { word ^ 1 } else { word })
    }

    fn end(fiber: Self::Fiber, word: usize) -> usize {
        Kfiber::end(fiber.0, word)
    }

    unsafe fn suspend(way: Self::Way, word: usize) -> usize {
        // SAFETY: the caller's promise.
        unsafe { Kfiber::suspend(way, word) }
    }

    unsafe fn keep(stack: Stack) -> Self::Kept {
        // SAFETY: the caller's promise.
        unsafe { Kfiber::keep(stack) }
    }

    fn create(kept: &mut Self::Kept, word: usize) -> usize {
        Kfiber::create(kept, if word == 5 { 6 } else { word })
    }
}

/// A contender that loses one word must not pass in any shape.
fn notices_what_is_lost() {
    panic::set_hook(Box::new(|_| ()));
    let passes: Vec<_> = crate::of::<Forgetful>(1)
        .into_iter()
        .filter_map(|plan| {
            let shape = plan.shape;
            let caught = panic::catch_unwind(panic::AssertUnwindSafe(|| go(plan.set_up())));
            caught.is_ok().then_some(shape)
        })
        .collect();
    drop(panic::take_hook());
    assert!(
        passes.is_empty(),
        "a lost word was not noticed in {passes:?}"
    );
}
