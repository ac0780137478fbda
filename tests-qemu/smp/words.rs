//! What a kernel is told that uses kfiber on a core before the core has its words.

use core::{
    panic::PanicInfo,
    sync::atomic::{AtomicU64, Ordering},
};

use kfiber::scheduler::{FatalReason, fiber_panicked};
use tests_qemu::{kernel_test, panic, println};
use x86_64::{VirtAddr, registers::model_specific::GsBase};

use crate::team;

/// What lies where a GS base points that the kernel has not set up: nothing of kfiber's.
static NOTHING: [AtomicU64; 64] = [const { AtomicU64::new(0) }; 64];
static GS_BASE: AtomicU64 = AtomicU64::new(0);

kernel_test! {
    fn the_first_spawn_on_a_core_without_words_says_what_to_do()
        cores(2) panics("call `CoreLocal::install`")
    {
        team::start();
        panic::first(|_| give_words_back());
        take_words_away(VirtAddr::from_ptr(&raw const NOTHING));
        team::spawn(|| ()).detach();
    }

    fn a_run_on_a_core_without_words_says_what_to_do()
        cores(2) panics("call `CoreLocal::install`")
    {
        team::start();
        team::spawn(|| ()).detach();
        panic::first(|_| give_words_back());
        take_words_away(VirtAddr::from_ptr(&raw const NOTHING));
        team::team().run();
    }

    fn a_panic_on_a_core_without_words_is_none_of_a_fiber() cores(2) panics("too early") {
        team::start();
        panic::first(on_panic);
        take_words_away(VirtAddr::zero());
        panic!("too early");
    }
}

fn take_words_away(instead: VirtAddr) {
    GS_BASE.store(GsBase::read().as_u64(), Ordering::Relaxed);
    GsBase::write(instead);
}

fn give_words_back() {
    GsBase::write(VirtAddr::new(GS_BASE.load(Ordering::Relaxed)));
}

fn on_panic(info: &PanicInfo<'_>) {
    let why = fiber_panicked(info);
    give_words_back();
    println!("fatal: {why}");
    assert_eq!(why, FatalReason::NotInFiber);
}
