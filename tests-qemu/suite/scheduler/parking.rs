//! Park and unpark, from fibers and from the timer's interrupt.

use core::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use kfiber::scheduler::{self, Unparker, WaitError, park, park_timeout, unparker, yield_now};
use tests_qemu::{
    interrupts::{on_tick, start_one_shot, start_timer, ticks},
    kernel_test,
};

use super::{Log, Place, SCHEDULER, in_a_fiber, run, run_with_interrupts, spawn};

/// Whom the handler wakes.
static WAKERS: [Place<Unparker>; 8] = [const { Place::new() }; 8];

fn wake(index: usize) {
    assert!(WAKERS[index].get().unpark());
}

kernel_test! {
    /// Their stored stack pointers are then in other stacks than their own.
    fn fibers_wait_within_asymmetric_ones() {
        use kfiber::{fiber::{Fiber, Resumed, Yielder}, stack::{Stack, Storage as _}};
        static STACKS: [Stack<{ super::STACK }>; 3] = [const { Stack::new() }; 3];
        let fibers = STACKS.each_ref().map(|stack| spawn(|| {
            let taken = stack.take().expect("each is taken once");
            let mut inner = Fiber::new(taken, |_: &Yielder<(), ()>, ()| {
                for _ in 0..10 {
                    scheduler::sleep(Duration::from_micros(100)).expect("nobody cancels it");
                    yield_now();
                }
                42
            }).expect("a closure this small fits");
            match inner.resume(()) {
                Resumed::Returned(answer) => answer,
                Resumed::Yielded(()) => 0,
            }
        }));
        run();
        for fiber in fibers {
            assert_eq!(fiber.try_join().expect("it has ended"), 42);
        }
    }

    fn the_timer_interrupt_wakes_a_parked_fiber_a_thousand_times() icount {
        WAKERS[0].put(spawn(|| {
            for round in 0..1_000 {
                assert_eq!(ticks(), round);
                start_one_shot(20_000);
                park().expect("nobody cancels it");
            }
        }).unparker());
        on_tick(|_| wake(0));
        run_with_interrupts();
        assert_eq!(ticks(), 1_000);
        assert_eq!(SCHEDULER.platform().sleeps(), 1_000, "it slept each time");
    }

    fn a_wake_before_the_park_is_kept() {
        in_a_fiber(|| {
            let me = unparker().expect("a fiber");
            assert!(me.unpark());
            park().expect("woken before");
        });
    }

    fn several_wakes_count_as_one() {
        let fiber = spawn(|| {
            let me = unparker().expect("a fiber");
            (0..3).for_each(|_| assert!(me.unpark()));
            park().expect("woken before");
            assert_eq!(park_timeout(Duration::from_micros(1)), Err(WaitError::TimedOut));
        });
        run();
        fiber.try_join().expect("it has ended");
    }

    fn two_fibers_wake_each_other_ten_thousand_times() {
        static TURNS: AtomicU64 = AtomicU64::new(0);
        fn play(me: u64, other: usize) {
            for round in 0..10_000 {
                while TURNS.load(Ordering::Relaxed) != round * 2 + me {
                    park().expect("nobody cancels it");
                }
                TURNS.fetch_add(1, Ordering::Relaxed);
                let _is_alive = WAKERS[other].get().unpark();
            }
        }
        WAKERS[0].put(spawn(|| play(0, 1)).unparker());
        WAKERS[1].put(spawn(|| play(1, 0)).unparker());
        run();
        assert_eq!(TURNS.load(Ordering::Relaxed), 20_000);
    }

    fn a_wake_of_an_ended_fiber_says_so() {
        let fiber = spawn(|| ());
        let waker = fiber.unparker();
        run();
        assert!(!waker.unpark(), "it has ended, and its result waits");
        fiber.try_join().expect("it has ended");
        assert!(!waker.unpark(), "its result was taken");
    }

    fn fibers_run_in_the_order_in_which_an_interrupt_woke_them() {
        static LOG: Log = Log::new();
        for (index, place) in WAKERS.iter().enumerate().take(6) {
            place.put(spawn(move || {
                park().expect("nobody cancels it");
                LOG.note(index as u64);
            }).unparker());
        }
        on_tick(|_| {
            for index in [3, 1, 5, 0, 4, 2] {
                wake(index);
            }
        });
        spawn(|| start_one_shot(10_000)).detach();
        run_with_interrupts();
        LOG.assert_is(&[3, 1, 5, 0, 4, 2]);
    }

    /// A fiber takes the wakes in when it yields, before its equals have their next turn.
    fn a_fiber_that_an_interrupt_woke_runs_though_others_never_wait() {
        static WAKES: AtomicU64 = AtomicU64::new(0);
        WAKERS[0].put(spawn(|| {
            start_timer(20_000);
            for _ in 0..100 {
                park().expect("nobody cancels it");
                WAKES.fetch_add(1, Ordering::Relaxed);
            }
        }).unparker());
        (0..3).for_each(|_| spawn(|| while WAKES.load(Ordering::Relaxed) < 100 { yield_now() }).detach());
        on_tick(|_| { let _is_alive = WAKERS[0].get().unpark(); });
        run_with_interrupts();
        assert_eq!(SCHEDULER.platform().sleeps(), 0, "there was always a fiber ready");
    }

    fn a_more_urgent_fiber_that_an_interrupt_woke_runs_at_the_next_yield() {
        static LOG: Log = Log::new();
        let builder = SCHEDULER.builder().priority(scheduler::Priority::HIGHEST);
        let urgent = builder.spawn(&super::CELLS, || {
            park().expect("nobody cancels it");
            LOG.note(2);
        });
        WAKERS[0].put(urgent.expect("a cell is free").unparker());
        (0..2).for_each(|_| spawn(|| {
            if ticks() == 0 {
                start_one_shot(1);
                while ticks() == 0 { core::hint::spin_loop(); }
                LOG.note(1);
            }
            yield_now();
            LOG.note(3);
        }).detach());
        on_tick(|_| { let _is_alive = WAKERS[0].get().unpark(); });
        run_with_interrupts();
        LOG.assert_is(&[1, 2, 3, 3]);
    }

    fn a_wake_neither_ends_a_sleep_nor_is_lost_in_it() icount {
        in_a_fiber(|| {
            let me = unparker().expect("a fiber");
            let waker = spawn(move || {
                yield_now();
                assert!(me.unpark());
            });
            let until = scheduler::after(Duration::from_millis(1));
            scheduler::sleep_until(until).expect("nobody cancels it");
            assert!(scheduler::now() >= until, "the wake ended the sleep");
            assert!(waker.is_finished());
            park().expect("the wake was kept");
        });
    }

    fn a_park_with_a_deadline_says_whether_it_was_woken() {
        in_a_fiber(|| {
            assert_eq!(park_timeout(Duration::from_micros(10)), Err(WaitError::TimedOut));
            let me = unparker().expect("a fiber");
            spawn(move || assert!(me.unpark())).detach();
            assert_eq!(park_timeout(Duration::from_secs(3_600)), Ok(()));
            assert_eq!(park_timeout(Duration::ZERO), Err(WaitError::TimedOut));
            assert!(me.unpark());
            assert_eq!(park_timeout(Duration::ZERO), Ok(()), "a token counts though the time has passed");
        });
    }
}
