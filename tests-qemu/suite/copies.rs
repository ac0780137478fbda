//! Two copies of one version of the crate in a kernel, as a kernel gets them from two sources through its dependencies.

use kfiber::{
    fiber::{Fiber as Old, Resumed as OldResumed},
    stack::{StackMemory as _, StackPool as OldPool},
};
use kfiber_copy::{
    fiber::{Fiber as New, Resumed as NewResumed},
    stack::{StackMemory as _, StackPool as NewPool},
};
use tests_qemu::kernel_test;

// Declared once: two declarations that differ would become two symbols where they meet in one unit.
use crate::context::declared_for_c::kfiber_0_1_switch;

static OLD_STACKS: OldPool<{ 32 * 1024 }, 4> = OldPool::new();
static NEW_STACKS: NewPool<{ 32 * 1024 }, 4> = NewPool::new();

/// An old fiber that runs a new one that runs an old one, and so on; the innermost yields through all of them.
fn old(depth: u32, rounds: u32) -> u32 {
    let stack = OLD_STACKS.take().expect("one for each level");
    let mut fiber = Old::<u32, u32, u32, _>::new(stack, move |yielder, first| {
        let below = if depth > 0 { new(depth - 1, rounds) } else { 0 };
        (0..rounds).fold(first + below, |sum, round| sum + yielder.suspend(round))
    })
    .expect("a small closure");
    for round in 0..rounds {
        assert_eq!(fiber.resume(1), OldResumed::Yielded(round));
    }
    match fiber.resume(1) {
        OldResumed::Returned(sum) => sum,
        OldResumed::Yielded(_) => panic!("it has yielded enough"),
    }
}

fn new(depth: u32, rounds: u32) -> u32 {
    let stack = NEW_STACKS.take().expect("one for each level");
    let mut fiber = New::<u32, u32, u32, _>::new(stack, move |yielder, first| {
        let below = if depth > 0 { old(depth - 1, rounds) } else { 0 };
        (0..rounds).fold(first + below, |sum, round| sum + yielder.suspend(round))
    })
    .expect("a small closure");
    for round in 0..rounds {
        assert_eq!(fiber.resume(1), NewResumed::Yielded(round));
    }
    match fiber.resume(1) {
        NewResumed::Returned(sum) => sum,
        NewResumed::Yielded(_) => panic!("it has yielded enough"),
    }
}

kernel_test! {
    fn two_copies_of_one_version_share_the_name_for_c() {
        let for_c = kfiber_0_1_switch as *const ();
        let old = kfiber::context::switch_out_of_line as *const ();
        let new = kfiber_copy::context::switch_out_of_line as *const ();
        assert_ne!(old, new, "each copy has a switch of its own");
        assert!(for_c == old || for_c == new, "{for_c:?} is neither {old:?} nor {new:?}");
    }

    fn fibers_of_two_copies_run_interleaved() {
        let stack = OLD_STACKS.take().expect("not exhausted");
        let mut old = Old::<u64, u64, (), _>::new(stack, |yielder, mut number| {
            loop {
                number = yielder.suspend(number * 3);
            }
        })
        .expect("a small closure");
        let stack = NEW_STACKS.take().expect("not exhausted");
        let mut new = New::<u64, u64, (), _>::new(stack, |yielder, mut number| {
            loop {
                number = yielder.suspend(number + 7);
            }
        })
        .expect("a small closure");
        for number in 0..10_000 {
            assert_eq!(old.resume(number), OldResumed::Yielded(number * 3));
            assert_eq!(new.resume(number), NewResumed::Yielded(number + 7));
        }
        assert!(old.is_canary_intact() && new.is_canary_intact());
    }

    fn fibers_of_two_copies_nest_in_each_other() {
        // Four of each: every level counts its own four resumes.
        assert_eq!(old(7, 3), 8 * 4);
        assert_eq!(new(7, 3), 8 * 4);
        assert!(OLD_STACKS.take().expect("all came back").is_canary_intact());
        assert!(NEW_STACKS.take().expect("all came back").is_canary_intact());
    }

    /// What one copy leaks is no business of the other.
    fn each_copy_counts_its_own_leaks() {
        let stack = NEW_STACKS.take().expect("not exhausted");
        let mut new = New::<(), (), (), _>::new(stack, |yielder, ()| yielder.suspend(())).expect("a small closure");
        let _ = new.resume(());
        drop(new);
        assert_eq!((kfiber::fiber::leaked_stacks(), kfiber_copy::fiber::leaked_stacks()), (0, 1));
    }
}
