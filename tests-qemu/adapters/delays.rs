//! Delays of drivers by a real timer. With `-icount shift=0` a nanosecond is an instruction.

use core::sync::atomic::{AtomicU64, Ordering};

use embedded_hal::delay::DelayNs;
use embedded_hal_async::delay::DelayNs as AsyncDelayNs;
use kfiber::scheduler::{self, Priority, block_on, now, yield_now};
use kfiber_embedded_hal::{DelayTimer, FiberDelay};
use tests_qemu::kernel_test;

use crate::world::{CELLS, SCHEDULER, run_all, spawn};

/// An interrupt, a look at the clock and some switches: instructions, in a debug build.
const PUNCTUAL: u64 = 40_000;

/// A driver of any crate, for a line that must be low for some time.
struct Reset<D> {
    delay: D,
}

impl<D: DelayNs> Reset<D> {
    fn pulse(&mut self) -> u64 {
        let start = now();
        self.delay.delay_us(300);
        now() - start
    }
}

impl<D: AsyncDelayNs> Reset<D> {
    async fn pulse_async(&mut self) -> u64 {
        let start = now();
        self.delay.delay_us(300).await;
        now() - start
    }
}

#[track_caller]
fn assert_is_300_us(nanoseconds: u64) {
    let late = nanoseconds.checked_sub(300_000).expect("it was too short");
    assert!(late < PUNCTUAL, "{late} ns late");
}

kernel_test! {
    fn a_driver_delays_and_another_fiber_runs_meanwhile() icount {
        static TURNS: AtomicU64 = AtomicU64::new(0);
        static IS_DONE: AtomicU64 = AtomicU64::new(0);
        let driver = spawn("driver", || {
            let time = Reset { delay: FiberDelay }.pulse();
            IS_DONE.store(1, Ordering::Relaxed);
            time
        });
        spawn("other", || {
            while IS_DONE.load(Ordering::Relaxed) == 0 {
                TURNS.fetch_add(1, Ordering::Relaxed);
                yield_now();
            }
        })
        .detach();
        run_all();
        assert_is_300_us(driver.try_join().expect("ended"));
        assert!(TURNS.load(Ordering::Relaxed) > 10);
    }

    fn an_async_driver_delays_and_its_fiber_waits() icount {
        static TIMER: DelayTimer<4> = DelayTimer::new();
        let timer = SCHEDULER.builder().name("timer").priority(Priority::HIGHEST);
        let timer = timer.spawn(&CELLS, || TIMER.run()).expect("a cell is free");
        let driver = spawn("driver", move || {
            let time = block_on(Reset { delay: &TIMER }.pulse_async());
            timer.cancel();
            time
        });
        run_all();
        assert_is_300_us(driver.try_join().expect("ended"));
    }

    fn a_delay_outside_of_a_fiber_is_refused() panics("outside of a fiber") {
        assert!(scheduler::current().is_none());
        FiberDelay.delay_ms(1);
    }
}
