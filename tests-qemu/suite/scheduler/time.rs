//! Sleeps and deadlines with a real timer, and a processor that sleeps in between, without ticks.
//!
//! With `-icount shift=0` a nanosecond is an instruction, so that times are exact and say what was spent.

use core::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use kfiber::{
    platform::{NEVER, Platform},
    scheduler::{
        JoinErrorKind, WaitError, now, park_until, sleep, sleep_until, unparker, yield_now,
    },
};
use tests_qemu::{interrupts::ticks, kernel_test};

use super::{Log, SCHEDULER, in_a_fiber, run, run_until_idle, spawn};

const MICROSECOND: u64 = 1_000;
const SECOND: u64 = 1_000_000_000;
/// An interrupt, a look at the clock and a switch: instructions, in a debug build.
const PUNCTUAL: u64 = 20 * MICROSECOND;

kernel_test! {
    fn a_sleep_lasts_as_long_as_it_should_and_hardly_longer() icount {
        in_a_fiber(|| {
            for microseconds in [1, 10, 100, 1_000, 10_000, 1_000_000] {
                let until = now() + microseconds * MICROSECOND;
                sleep(Duration::from_micros(microseconds)).expect("nobody cancels it");
                let late = now().checked_sub(until).expect("it woke too early");
                assert!(late < PUNCTUAL, "{late} ns late after {microseconds} µs");
            }
        });
    }

    fn sleepers_wake_in_the_order_of_their_deadlines_and_equals_in_that_of_their_arrival() icount {
        static LOG: Log = Log::new();
        let start = SCHEDULER.platform().now() + 1_000_000;
        for (number, delay) in [50, 30, 90, 10, 70, 10, 50, 30].into_iter().enumerate() {
            spawn(move || {
                sleep_until(start + delay * 100 * MICROSECOND).expect("nobody cancels it");
                LOG.note(number as u64);
            })
            .detach();
        }
        run();
        LOG.assert_is(&[3, 5, 1, 7, 0, 6, 4, 2]);
    }

    /// One sleep of the processor and one interrupt for each sleep of the fiber, however long.
    fn the_processor_sleeps_through_without_ticks() icount {
        in_a_fiber(|| {
            let _ = now(); // compares the clocks, once
            let (before, sleeps) = (ticks(), SCHEDULER.platform().sleeps());
            for _ in 0..10 {
                sleep(Duration::from_secs(1)).expect("nobody cancels it");
            }
            // The clock may be behind the timer by a rounding: then there is one more short sleep.
            let (ticks, sleeps) = (ticks() - before, SCHEDULER.platform().sleeps() - sleeps);
            assert!((10..=20).contains(&ticks), "{ticks} interrupts in ten seconds");
            assert_eq!(sleeps, ticks, "each interrupt ended one sleep");
        });
    }

    /// Further away than the timer can count.
    fn an_hours_sleep_takes_an_interrupt_for_each_time_the_timer_runs_out() icount {
        in_a_fiber(|| {
            let until = now() + 3_600 * SECOND;
            let before = ticks();
            sleep_until(until).expect("nobody cancels it");
            assert!((until..until + PUNCTUAL).contains(&now()));
            let runs_out = 3_600 * SECOND / u64::from(u32::MAX);
            assert!((runs_out..runs_out + 10).contains(&(ticks() - before)));
        });
    }

    fn the_processor_does_not_sleep_while_a_fiber_is_ready() icount {
        static SLEEPER_IS_DONE: AtomicU64 = AtomicU64::new(0);
        spawn(|| while SLEEPER_IS_DONE.load(Ordering::Relaxed) == 0 { yield_now() }).detach();
        in_a_fiber(|| {
            let until = now() + 100 * MICROSECOND;
            sleep_until(until).expect("nobody cancels it");
            assert!((until..until + PUNCTUAL).contains(&now()));
            SLEEPER_IS_DONE.store(1, Ordering::Relaxed);
        });
        assert_eq!(SCHEDULER.platform().sleeps(), 0);
    }

    fn an_earlier_deadline_that_comes_later_is_kept_and_so_is_the_later() icount {
        static LOG: Log = Log::new();
        let late = spawn(|| {
            let until = now() + 2 * SECOND;
            sleep_until(until).expect("nobody cancels it");
            LOG.note(2);
            now() - until
        });
        let early = spawn(|| {
            let until = now() + SECOND;
            sleep_until(until).expect("nobody cancels it");
            LOG.note(1);
            now() - until
        });
        run();
        LOG.assert_is(&[1, 2]);
        assert!(late.try_join().expect("it has ended") < PUNCTUAL);
        assert!(early.try_join().expect("it has ended") < PUNCTUAL);
    }

    fn a_deadline_that_has_passed_lets_the_others_run_once() {
        static LOG: Log = Log::new();
        for number in 1..=3 {
            spawn(move || {
                LOG.note(number);
                sleep_until(0).expect("nobody cancels it");
                LOG.note(10 + number);
                sleep(Duration::ZERO).expect("nobody cancels it");
                LOG.note(20 + number);
            })
            .detach();
        }
        run();
        LOG.assert_is(&[1, 2, 3, 11, 12, 13, 21, 22, 23]);
        assert_eq!((SCHEDULER.platform().sleeps(), SCHEDULER.platform().timers()), (0, 0));
    }

    fn at_the_end_of_time_nobody_wakes_by_the_clock() {
        let endless = spawn(|| sleep_until(NEVER));
        let longest = spawn(|| sleep(Duration::MAX));
        run_until_idle();
        assert_eq!(SCHEDULER.platform().timers(), 0, "nothing to wait for");
        endless.cancel();
        longest.cancel();
        run();
        assert_eq!(endless.try_join().expect("it has ended"), Err(WaitError::Cancelled));
        assert_eq!(longest.try_join().expect("it has ended"), Err(WaitError::Cancelled));
    }

    /// Its node lies on the fiber's stack, which is others' memory afterwards.
    fn a_park_that_was_woken_leaves_no_deadline_behind() icount {
        in_a_fiber(|| {
            let me = unparker().expect("a fiber");
            for _ in 0..100 {
                spawn(move || assert!(me.unpark())).detach();
                park_until(now() + 50 * MICROSECOND).expect("woken before");
            }
            let until = now() + 100 * MICROSECOND;
            sleep_until(until).expect("nobody cancels it");
            assert!((until..until + PUNCTUAL).contains(&now()));
        });
    }

    fn running_until_idle_does_not_wait_for_sleepers() icount {
        let fiber = spawn(|| sleep(Duration::from_secs(1)));
        run_until_idle();
        assert!(!fiber.is_finished());
        assert_eq!(SCHEDULER.platform().sleeps(), 0, "it must not sleep");
        run();
        assert_eq!(fiber.try_join().expect("it has ended"), Ok(()));
    }

    fn joining_with_a_deadline_gives_the_handle_back_in_time() icount {
        in_a_fiber(|| {
            let slow = spawn(|| sleep(Duration::from_millis(2)));
            let until = now() + 1_000 * MICROSECOND;
            let refused = slow.join_until(until).expect_err("it is too slow");
            assert_eq!(refused.kind, JoinErrorKind::TimedOut);
            assert!((until..until + PUNCTUAL).contains(&now()));
            let refused = refused.handle.join_timeout(Duration::ZERO).expect_err("it is too slow");
            assert_eq!(refused.kind, JoinErrorKind::TimedOut);
            assert_eq!(refused.handle.join_timeout(Duration::from_secs(1)).expect("long enough"), Ok(()));
        });
    }
}
