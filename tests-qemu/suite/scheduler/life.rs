//! From spawn to join: results, drops, cells, generations.

use core::fmt;
use core::future::Future as _;
use core::pin::Pin;
use core::sync::atomic::{AtomicU64, Ordering};
use core::task::{Context, Waker};
use core::time::Duration;

use kfiber::scheduler::{
    self, FiberCell, FiberInfo, JoinErrorKind, JoinHandle, Scheduler, SpawnErrorKind, Unparker,
    park, yield_now,
};
use tests_qemu::{
    interrupts::{on_tick, start_one_shot},
    kernel_test,
    platform::{self, Bare},
};

use super::{
    CELLS, Place, SCHEDULER, STACK, in_a_fiber, run, run_until_idle, run_with_interrupts, spawn,
};

/// Counts its drops.
#[derive(Debug)]
struct Dropped(&'static AtomicU64);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[derive(Debug, PartialEq)]
#[repr(align(256))]
struct Wide([u64; 200]);

static DROPS_OF_USES: AtomicU64 = AtomicU64::new(0);

/// Uses a cell in each of these ways after each of them.
fn every_use_after_every_use<T: Send + fmt::Debug + 'static>(result: fn() -> T) {
    static CELL: FiberCell<{ 16 * 1024 }> = FiberCell::new();
    let made = || {
        let body = move || {
            yield_now();
            result()
        };
        SCHEDULER.spawn(&CELL, body).expect("it is free")
    };
    let poll =
        |handle: &mut JoinHandle<T>| Pin::new(handle).poll(&mut Context::from_waker(Waker::noop()));
    let take = |handle: JoinHandle<T>| drop(handle.join().expect("it ends"));
    let ended = || {
        let handle = made();
        while !handle.is_finished() {
            yield_now();
        }
        handle
    };
    let uses: [&dyn Fn(); 8] = [
        &|| take(made()),
        &|| drop(ended().try_join().expect("it has ended")),
        &|| {
            made().detach();
            (0..3).for_each(|_| yield_now());
        },
        &|| drop(ended()),
        &|| {
            take(
                made()
                    .join_timeout(Duration::ZERO)
                    .expect_err("it yields")
                    .handle,
            );
        },
        &|| {
            let mut handle = made();
            assert!(poll(&mut handle).is_pending());
            (0..3).for_each(|_| yield_now());
            assert!(poll(&mut handle).is_ready());
        },
        &|| {
            let mut handle = made();
            assert!(poll(&mut handle).is_pending());
            take(handle);
        },
        &|| {
            let mut handle = made();
            assert!(poll(&mut handle).is_pending());
            drop(handle);
            (0..3).for_each(|_| yield_now());
        },
    ];
    for first in uses {
        for next in uses {
            first();
            next();
        }
    }
}

kernel_test! {
    fn a_fiber_waits_for_anothers_result() {
        let sum = in_a_fiber(|| {
            let other = spawn(|| {
                yield_now();
                40
            });
            assert!(!other.is_finished());
            other.join().expect("it ends") + 2
        });
        assert_eq!(sum, 42);
    }

    /// Nobody has joined before, and no handle was polled.
    fn the_first_handle_that_is_polled_calls_the_waker_and_the_next_is_dropped_with_it() {
        in_a_fiber(|| {
            let handle = spawn(|| {
                yield_now();
                40
            });
            assert_eq!(scheduler::block_on(handle).expect("it ends"), 40);
            let mut handle = spawn(yield_now);
            let waker = &mut Context::from_waker(Waker::noop());
            assert!(Pin::new(&mut handle).poll(waker).is_pending());
            drop(handle);
            yield_now();
        });
    }

    /// The loop of the joiner does not run when the other ends, so it has to be told there.
    fn a_fiber_waits_for_the_result_of_a_fiber_of_another_scheduler() {
        static OTHER: Scheduler<Bare> = Scheduler::new(platform::bare());
        static CELL: FiberCell<{ 16 * 1024 }> = FiberCell::new();
        for round in 0..3 {
            let there = OTHER.spawn(&CELL, move || round).expect("it is free");
            let here = spawn(move || there.join().expect("it ends"));
            run_until_idle();
            assert!(!here.is_finished());
            OTHER.run();
            run();
            assert_eq!(here.try_join().expect("it was told"), round);
        }
    }

    fn a_fiber_is_joined_whatever_became_of_the_handle_on_the_last_one_in_its_cell() {
        in_a_fiber(|| {
            every_use_after_every_use(|| 42_u64);
            every_use_after_every_use(|| Dropped(&DROPS_OF_USES));
        });
        // Each use makes one fiber, and there are two in each of 8 times 8 pairs.
        assert_eq!(DROPS_OF_USES.load(Ordering::Relaxed), 8 * 8 * 2);
    }

    fn a_result_waits_for_whoever_takes_it_after_the_run() {
        let fiber = spawn(|| "done");
        let fiber = fiber.try_join().expect_err("it has not run");
        assert_eq!(fiber.kind, JoinErrorKind::NotFinished);
        run();
        assert!(fiber.handle.is_finished());
        assert_eq!(fiber.handle.try_join().expect("it has run"), "done");
    }

    fn a_large_and_aligned_closure_and_result_arrive_whole() {
        // A debug build moves closure and result several times.
        static CELL: FiberCell<{ 64 * 1024 }> = FiberCell::new();
        let given = Wide(core::array::from_fn(|index| index as u64 * 3));
        let fiber = SCHEDULER.spawn(&CELL, move || {
            assert!((&raw const given).addr().is_multiple_of(256));
            yield_now();
            Wide(given.0.map(|number| number + 1))
        });
        let fiber = fiber.expect("it is new");
        run();
        let returned = fiber.try_join().expect("all have ended");
        assert_eq!(returned, Wide(core::array::from_fn(|index| index as u64 * 3 + 1)));
    }

    fn what_a_closure_captured_is_dropped_once_when_it_returns() {
        static DROPS: AtomicU64 = AtomicU64::new(0);
        let captured = Dropped(&DROPS);
        let drops = in_a_fiber(move || {
            let captured = captured;
            yield_now();
            let before = captured.0.load(Ordering::Relaxed);
            drop(captured);
            before
        });
        assert_eq!((drops, DROPS.load(Ordering::Relaxed)), (0, 1));
    }

    /// By the fiber's end if the handle went before, by the handle's end if it went after; never twice.
    fn a_result_that_nobody_takes_is_dropped_once() {
        static DROPS: AtomicU64 = AtomicU64::new(0);
        drop(spawn(|| Dropped(&DROPS)));
        let late = spawn(|| Dropped(&DROPS));
        run();
        assert_eq!(DROPS.load(Ordering::Relaxed), 1);
        late.detach();
        assert_eq!(DROPS.load(Ordering::Relaxed), 2);
        assert_eq!(SCHEDULER.fibers().count(), 0);
    }

    fn a_full_pool_gives_the_closure_back_and_a_joined_fibers_cell_is_free() {
        static ADDRESSES: [AtomicU64; 8] = [const { AtomicU64::new(0) }; 8];
        let fibers: [JoinHandle<()>; 8] = core::array::from_fn(|index| {
            spawn(move || {
                let local = 0_u8;
                ADDRESSES[index].store((&raw const local).addr() as u64, Ordering::Relaxed);
                yield_now();
            })
        });
        let captured = [7_u64; 3];
        let refused = SCHEDULER.spawn(&CELLS, move || captured[2]).expect_err("all are taken");
        assert_eq!(refused.kind, SpawnErrorKind::PoolExhausted { count: 8 });
        assert_eq!((refused.closure)(), 7);
        run();
        for (index, address) in ADDRESSES.iter().enumerate() {
            let address = usize::try_from(address.load(Ordering::Relaxed)).expect("64 bits");
            let here = |fiber: &FiberInfo| fiber.stack.contains(address);
            assert_eq!(SCHEDULER.fibers().filter(here).count(), 1, "fiber {index} ran on a stack of its own");
        }
        assert!(SCHEDULER.spawn(&CELLS, || ()).is_err(), "their results wait to be taken");
        fibers.into_iter().for_each(|fiber| fiber.try_join().expect("all have run"));
        spawn(|| ()).detach();
    }

    fn a_cell_is_in_use_until_the_result_was_taken() {
        static CELL: FiberCell<STACK> = FiberCell::new();
        let first = SCHEDULER.spawn(&CELL, || 1).expect("it is new");
        assert_eq!(SCHEDULER.spawn(&CELL, || 2).expect_err("in use").kind, SpawnErrorKind::CellInUse);
        run();
        assert_eq!(SCHEDULER.spawn(&CELL, || 2).expect_err("its result waits").kind, SpawnErrorKind::CellInUse);
        assert_eq!(first.try_join().expect("it has run"), 1);
        let second = SCHEDULER.spawn(&CELL, || 2).expect("it is free");
        run();
        assert_eq!(second.try_join().expect("it has run"), 2);
    }

    /// A stale id names nobody, however often its cell is used again, and wakes nobody.
    fn an_id_of_an_ended_fiber_is_of_no_other() {
        static CELL: FiberCell<STACK> = FiberCell::new();
        let mut old: Option<Unparker> = None;
        for _ in 0..100 {
            let fiber = SCHEDULER.spawn(&CELL, || {
                park().expect("nobody cancels it");
            });
            let fiber = fiber.expect("it is free");
            if let Some(old) = old {
                assert_ne!(old.id(), fiber.id());
                assert!(!old.unpark(), "it has ended");
            }
            run_until_idle();
            assert!(!fiber.is_finished());
            if let Some(old) = old {
                assert!(!old.unpark(), "it has ended");
                run_until_idle();
                assert!(!fiber.is_finished(), "an old id woke a new fiber");
            }
            assert!(fiber.unparker().unpark());
            run();
            old = Some(fiber.unparker());
            assert!(fiber.try_join().is_ok());
        }
    }

    fn an_interrupt_handler_makes_a_fiber() {
        static RAN_ON: AtomicU64 = AtomicU64::new(0);
        on_tick(|_| {
            let fiber = SCHEDULER.spawn(&CELLS, || {
                RAN_ON.fetch_add(1, Ordering::Relaxed);
            });
            fiber.expect("a cell is free").detach();
        });
        spawn(|| {
            start_one_shot(1_000);
            while RAN_ON.load(Ordering::Relaxed) == 0 {
                yield_now();
            }
        })
        .detach();
        run_with_interrupts();
        assert_eq!(RAN_ON.load(Ordering::Relaxed), 1);
    }

    /// Each makes the next one and waits for it, and the cells are used again and again.
    fn a_chain_of_ten_thousand_fibers_runs_in_three_cells() {
        static LINKS: AtomicU64 = AtomicU64::new(0);
        fn link() {
            if LINKS.fetch_add(1, Ordering::Relaxed) < 10_000 {
                spawn(link).detach();
            }
        }
        spawn(link).detach();
        run();
        assert_eq!(LINKS.load(Ordering::Relaxed), 10_001);
    }

    fn joining_oneself_is_refused_and_the_handle_comes_back() {
        static HANDLE: Place<JoinHandle<()>> = Place::new();
        HANDLE.put(spawn(|| {
            let refused = HANDLE.take().join().expect_err("it would never end");
            assert_eq!(refused.kind, JoinErrorKind::Deadlock);
            assert_eq!(Some(refused.handle.id()), scheduler::current());
            HANDLE.put(refused.handle);
        }));
        run();
        HANDLE.take().try_join().expect("it has ended");
    }

    fn joining_in_a_cycle_is_refused_to_the_last() {
        static HANDLES: [Place<JoinHandle<u32>>; 3] = [const { Place::new() }; 3];
        for index in 0..3 {
            HANDLES[index].put(spawn(move || match HANDLES[(index + 1) % 3].take().join() {
                Ok(number) => number + 1,
                Err(refused) => {
                    assert_eq!((index, refused.kind), (2, JoinErrorKind::Deadlock));
                    100
                }
            }));
        }
        run();
        assert_eq!(SCHEDULER.fibers().count(), 0, "the third dropped the handle of the first, the others were joined");
    }
}
