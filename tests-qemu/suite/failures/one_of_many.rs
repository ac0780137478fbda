//! One of several fibers in a pool fails; the others, and who joins it, see what they are to see.

use core::hint::black_box;
use core::sync::atomic::{AtomicU64, Ordering};

use kfiber::scheduler::{
    FiberPool, FiberState, JoinHandle, Panic, SpawnErrorKind, scope, sleep, yield_now,
};
use kfiber::sync::{Channel, Mutex};
use tests_qemu::kernel_test;
use x86_64::instructions::interrupts::without_interrupts;

use super::{
    CELLS, LAST, SCHEDULER, STACK, contain, failure_of, kinds::Kind, reports, run_all, spawn,
};

const KINDS: usize = Kind::ALL.len();

/// How it fails.
#[derive(Clone, Copy, Debug)]
struct Case {
    kind: Kind,
    /// Before it first lets others run, or after it has many times.
    is_late: bool,
    /// How many mutexes it has.
    locks: usize,
}

static LOCKS: [Mutex<u64>; 3] = [const { Mutex::new(0) }; 3];

fn fail(case: Case) -> u64 {
    if case.is_late {
        (0..20).for_each(|_| yield_now());
    }
    let _guards: [_; 3] =
        core::array::from_fn(|index| (index < case.locks).then(|| LOCKS[index].lock()));
    case.kind.fail()
}

/// Fills a part of its stack, lets others run, and looks whether it is still there.
fn neighbour(seed: u64) -> u64 {
    let mut mine: [u64; 128] = core::array::from_fn(|index| seed * 1000 + index as u64);
    for _ in 0..30 {
        let mine = black_box(&mut mine);
        yield_now();
        for (index, word) in mine.iter().enumerate() {
            assert_eq!(*word, seed * 1000 + index as u64, "a neighbour's memory");
        }
    }
    seed
}

/// Lets the fiber in one slot of a pool fail, while those in the others work.
fn one_fails(
    pool: &'static FiberPool<STACK, 3>,
    slot: usize,
    case: Case,
    is_joined_by_fiber: bool,
) {
    let before = reports();
    let handles: [JoinHandle<u64>; 3] = core::array::from_fn(|index| {
        let builder = SCHEDULER.builder().name(if index == slot {
            "unlucky"
        } else {
            "neighbour"
        });
        let body = move || match index == slot {
            true => fail(case),
            false => neighbour(index as u64),
        };
        builder.spawn(pool, body).expect("a cell is free")
    });
    let id = handles[slot].id();
    let joiner = is_joined_by_fiber.then(|| spawn(|| ()));
    let mut handles = handles.map(Some);
    let failed = handles[slot].take().expect("there");
    let joiner = joiner.map(|ended| {
        ended.detach();
        spawn(move || *failure_of(failed.join()))
    });
    run_all();
    if let Some(joiner) = joiner {
        case.kind.check(&joiner.try_join().expect("ended"));
    }
    for (index, handle) in handles.into_iter().enumerate() {
        if let Some(handle) = handle {
            assert_eq!(handle.try_join().expect("ended"), index as u64, "{case:?}");
        }
    }
    assert_eq!(reports(), before + 1, "{case:?}");
    let last = LAST.lock().expect("reported");
    assert_eq!((last.name, last.id), ("unlucky", id), "{case:?}");
    case.kind.check(&last.failure);
    assert_eq!(pool.lost_cells(), 1);
    let again: [_; 3] = core::array::from_fn(|_| SCHEDULER.spawn(pool, || ()));
    assert!(again[..2].iter().all(Result::is_ok), "{case:?}");
    assert_eq!(
        again[2].as_ref().map(|_| ()).map_err(|error| error.kind),
        Err(SpawnErrorKind::PoolDiminished { count: 3, lost: 1 }),
        "{case:?}"
    );
    run_all();
    let states = SCHEDULER.fibers().filter(|fiber| fiber.id == id);
    for fiber in states {
        assert!(matches!(fiber.state, FiberState::Failed(failure) if *failure == last.failure));
    }
}

/// How many of the fibers that a failing one has spawned have run.
static RAN: AtomicU64 = AtomicU64::new(0);

kernel_test! {
    fn a_fiber_fails_while_the_inbox_has_one_that_was_spawned_with_interrupts_off() {
        contain();
        let unlucky = spawn(|| {
            let posted = without_interrupts(|| spawn(|| RAN.fetch_add(1, Ordering::Relaxed)));
            posted.detach();
            Kind::InvalidInstruction.fail()
        });
        run_all();
        Kind::InvalidInstruction.check(failure_of(unlucky.try_join()));
        assert_eq!(RAN.load(Ordering::Relaxed), 1);
    }

    fn every_kind_in_every_slot_early_and_late_with_and_without_locks() timeout(60) {
        static POOLS: [FiberPool<STACK, 3>; KINDS * 6] = [const { FiberPool::new() }; _];
        contain();
        let mut pools = POOLS.iter();
        for kind in Kind::ALL {
            for is_late in [false, true] {
                for slot in 0..3 {
                    let locks = [0, 1, 3][slot];
                    let case = Case { kind, is_late, locks };
                    one_fails(pools.next().expect("enough"), slot, case, true);
                    for lock in &LOCKS[..locks] {
                        assert!(lock.is_poisoned(), "{case:?}");
                    }
                    spawn(|| {
                        for lock in &LOCKS {
                            // SAFETY: a number, which nobody else uses.
                            let _was_poisoned = unsafe { lock.clear_poison() };
                            *lock.lock() += 1;
                        }
                    })
                    .detach();
                    run_all();
                }
            }
        }
    }

    fn one_that_nobody_joins_fails_as_well() timeout(30) {
        contain();
        for (count, kind) in Kind::ALL.into_iter().enumerate() {
            spawn(move || kind.fail()).detach();
            run_all();
            assert_eq!(reports(), count + 1);
            kind.check(&LAST.lock().expect("reported").failure);
        }
        assert_eq!(CELLS.lost_cells(), KINDS);
    }

    fn joining_again_gives_the_same_answer() {
        contain();
        let handle = spawn(|| Kind::InvalidInstruction.fail());
        run_all();
        assert!(handle.is_finished());
        let error = handle.try_join().expect_err("failed");
        let first = error.kind;
        let handle = error.handle;
        assert_eq!(handle.try_join().expect_err("failed").kind, first);
    }

    fn a_joiner_that_polls_is_told() {
        contain();
        let handle = spawn(|| -> u8 { Kind::PageFault.fail() });
        let joiner = spawn(|| kfiber::scheduler::block_on(handle));
        run_all();
        Kind::PageFault.check(joiner.try_join().expect("ended").expect_err("failed"));
    }

    fn others_sleep_and_are_woken_as_if_nothing_had_happened() {
        contain();
        let sleeper = spawn(|| sleep(core::time::Duration::from_micros(300)));
        spawn(|| Kind::Division.fail()).detach();
        spawn(|| {
            let _slept = sleep(core::time::Duration::from_micros(100));
            Kind::GeneralProtection.fail()
        })
        .detach();
        run_all();
        assert_eq!(sleeper.try_join().expect("ended"), Ok(()));
        assert_eq!(reports(), 2);
    }

    fn a_message_in_hand_is_lost_and_the_channel_goes_on() {
        static CHANNEL: Channel<u32, 2> = Channel::new();
        contain();
        spawn(|| {
            let _message = CHANNEL.recv().expect("sent");
            Kind::Panic.fail()
        })
        .detach();
        let other = spawn(|| CHANNEL.recv());
        spawn(|| (1..=2).for_each(|number| CHANNEL.send(number).expect("open"))).detach();
        run_all();
        assert_eq!(other.try_join().expect("ended"), Ok(2));
    }

    fn a_long_message_is_cut_at_the_end_of_a_character() {
        struct Long;
        impl core::fmt::Display for Long {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                (0..100).try_for_each(|_| f.write_str("x€€"))
            }
        }
        contain();
        let handle = spawn(|| panic!("{Long}"));
        run_all();
        let failure = failure_of(handle.try_join());
        let kfiber::scheduler::Failure::Panicked(panic) = failure else {
            panic!("{failure}");
        };
        // 36 times seven bytes, one more, and no room for the three of the next.
        assert_eq!(panic.message.len(), 36 * 7 + 4);
        assert!(panic.message.len() <= Panic::LENGTH);
        assert!(panic.message.ends_with("€x€"));
    }

    fn a_fiber_on_top_of_a_fiber_takes_that_one_along() {
        use kfiber::{fiber::{Fiber, Yielder}, stack::{Stack, Storage}};
        static ON_TOP: [Stack<STACK>; KINDS] = [const { Stack::new() }; KINDS];
        contain();
        for (kind, stack) in Kind::ALL.into_iter().zip(&ON_TOP) {
            let handle = spawn(move || {
                let stack = stack.take().expect("free");
                let mut on_top = Fiber::new(stack, move |yielder: &Yielder<(), ()>, ()| {
                    yielder.suspend(());
                    kind.fail()
                }).expect("fits");
                let _first: kfiber::fiber::Resumed<(), ()> = on_top.resume(());
                yield_now();
                let _second = on_top.resume(());
            });
            let other = spawn(|| neighbour(3));
            run_all();
            kind.check(failure_of(handle.try_join()));
            assert_eq!(other.try_join().expect("ended"), 3);
            assert!(stack.take().is_err(), "its stack stays as it is");
        }
    }

    fn one_whose_stack_is_used_up_is_ended_from_its_guard() {
        use kfiber::{scheduler::GuardedFiberPool, stack::{PAGE_SIZE, Storage}};
        static POOL: GuardedFiberPool<STACK, 3> = GuardedFiberPool::new();
        #[expect(unconditional_recursion, reason = "to use the stack up")]
        fn recurse(depth: u64) -> u64 {
            black_box(recurse(black_box(depth + 1)) + 1)
        }
        contain();
        for cell in POOL.stacks() {
            let guard = cell.storage_bounds().guard();
            assert_eq!(guard.len(), PAGE_SIZE);
            tests_qemu::paging::unmap(guard.start as u64);
        }
        let handles: [_; 3] = core::array::from_fn(|index| {
            SCHEDULER.spawn(&POOL, move || if index == 1 { recurse(0) } else { neighbour(index as u64) })
                .expect("free")
        });
        run_all();
        let [first, second, third] = handles;
        assert_eq!(first.try_join().expect("ended"), 0);
        assert_eq!(third.try_join().expect("ended"), 2);
        let failure = failure_of(second.try_join());
        let guard = POOL.stacks()[1].storage_bounds().guard();
        let kfiber::scheduler::Failure::Overflowed(registers) = failure else {
            panic!("{failure}");
        };
        assert!((guard.start as u64..=guard.end as u64).contains(&registers.rsp), "{failure}");
    }

    fn the_last_of_all_fails_and_run_returns() {
        contain();
        let handle = spawn(|| Kind::Panic.fail());
        run_all();
        Kind::Panic.check(failure_of(handle.try_join()));
        // And again, with somebody else there in the end.
        let scoped = spawn(|| scope(|_| 5));
        run_all();
        assert_eq!(scoped.try_join().expect("ended"), 5);
    }
}
