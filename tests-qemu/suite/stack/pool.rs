//! Pools: every slot is handed out, once, and none harms its neighbour.

use core::{
    array,
    hint::black_box,
    sync::atomic::{AtomicU64, Ordering},
};

use kfiber::{
    fiber::{Fiber, Resumed},
    stack::{
        GuardedStackPool, PoolExhausted, StackBounds, StackMemory, StackPool, Storage, TOP_ALIGN,
    },
};
use tests_qemu::{
    interrupts::{on_tick, start_timer, stop_timer, ticks},
    kernel_test,
};

const COUNT: usize = 16;

static DENSE: StackPool<{ 16 * 1024 }, COUNT> = StackPool::new();
static GUARDED: GuardedStackPool<{ 16 * 1024 }, COUNT> = GuardedStackPool::new();

kernel_test! {
    fn a_pool_hands_out_each_slot_once_and_again_when_given_back() {
        let mut taken: [_; COUNT] = array::from_fn(|_| Some(DENSE.take().expect("not exhausted")));
        assert_eq!(DENSE.take().err(), Some(PoolExhausted { count: COUNT }));
        let bounds: [StackBounds; COUNT] = array::from_fn(|i| taken[i].as_ref().expect("taken above").bounds());
        assert_eq!(StackBounds::check_disjoint(&bounds), Ok(()));
        for slot in [0, COUNT / 2, COUNT - 1] {
            taken[slot] = None;
            let again = DENSE.take().expect("one was given back");
            assert_eq!(again.bounds(), bounds[slot], "the only free one");
            taken[slot] = Some(again);
            assert!(DENSE.take().is_err());
        }
    }

    fn the_tops_of_neighbours_fall_into_different_cache_sets() {
        let dense = DENSE.stacks().each_ref().map(Storage::storage_bounds);
        let guarded = GUARDED.stacks().each_ref().map(Storage::storage_bounds);
        assert_eq!(distinct_sets(&dense), COUNT);
        // The shift of a guarded stack is a hash of its address: a few of sixteen may meet.
        assert!(distinct_sets(&guarded) >= COUNT / 2, "{} sets", distinct_sets(&guarded));
    }

    /// One fiber runs on each slot at the same time: first, last and all between.
    fn a_fiber_runs_on_every_slot_of_a_dense_pool() {
        run_on_all(array::from_fn(|_| DENSE.take().expect("not exhausted")));
    }

    fn a_fiber_runs_on_every_slot_of_a_guarded_pool() {
        run_on_all(array::from_fn(|_| GUARDED.take().expect("not exhausted")));
    }

    /// The handler takes and gives back at any time; what it got is never what the code below has.
    fn an_interrupt_handler_can_take_a_stack() {
        static MEETINGS: AtomicU64 = AtomicU64::new(0);
        static TAKEN: AtomicU64 = AtomicU64::new(0);
        on_tick(|_| {
            let first = DENSE.take().expect("the code below has one of sixteen");
            let second = DENSE.take().expect("the code below has one of sixteen");
            for stack in [first, second] {
                if stack.bounds().bottom().addr() as u64 == TAKEN.load(Ordering::Relaxed) {
                    MEETINGS.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        start_timer(20_000);
        x86_64::instructions::interrupts::enable();
        while ticks() < 1_000 {
            let stack = DENSE.take().expect("the handler gives its two back");
            TAKEN.store(stack.bounds().bottom().addr() as u64, Ordering::Relaxed);
            black_box(&stack);
            TAKEN.store(0, Ordering::Relaxed);
        }
        x86_64::instructions::interrupts::disable();
        stop_timer();
        assert_eq!(MEETINGS.load(Ordering::Relaxed), 0);
        let all: [_; COUNT] = array::from_fn(|_| DENSE.take().expect("all were given back"));
        drop(all);
    }
}

fn distinct_sets(stacks: &[StackBounds]) -> usize {
    let mut sets = [false; 64];
    for stack in stacks {
        sets[stack.top().addr() / TOP_ALIGN % 64] = true;
    }
    sets.iter().filter(|&&set| set).count()
}

fn run_on_all<S: StackMemory + 'static>(mut stacks: [S; COUNT]) {
    for stack in &mut stacks {
        stack.paint();
    }
    let mut fibers = stacks.map(|stack| {
        let bounds = stack.bounds();
        Fiber::<usize, usize, usize, S>::new(stack, move |yielder, mut round| {
            let mut frame = [0_usize; 256];
            for word in &mut frame {
                *word = bounds.bottom().addr() ^ round;
            }
            black_box(&mut frame);
            assert!(bounds.contains((&raw const frame).addr()));
            for _ in 0..3 {
                round = yielder.suspend(round);
            }
            frame
                .iter()
                .filter(|&&word| word == bounds.bottom().addr())
                .count()
                + round
        })
        .expect("a small closure")
    });
    for round in 0..3 {
        for fiber in &mut fibers {
            assert_eq!(fiber.resume(round), Resumed::Yielded(round));
        }
    }
    for fiber in &mut fibers {
        assert_eq!(fiber.resume(3), Resumed::Returned(256 + 3));
        let usage = fiber.stack_usage();
        assert!(fiber.is_canary_intact());
        assert!(
            (2048..usage.size_bytes).contains(&usage.used_bytes),
            "{usage:?}"
        );
    }
}
