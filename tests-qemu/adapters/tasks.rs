//! Tasks of embassy in one fiber, beside fibers that block, with timers and a channel in between.

use core::sync::atomic::{AtomicU64, Ordering};

use embassy_executor::Spawner;
use embassy_sync::{
    blocking_mutex::raw::CriticalSectionRawMutex, channel::Channel, signal::Signal,
};
use embassy_time::{Delay, Duration, Instant, Timer, with_timeout};
use embedded_hal_async::delay::DelayNs as _;
use kfiber::scheduler::{Priority, block_on, sleep};
use kfiber_embassy::{Executor, TimeDriver};
use tests_qemu::{interrupts::on_tick, kernel_test, platform::Bare};

use crate::world::{CELLS, SCHEDULER, run_all, spawn};

embassy_time_driver::time_driver_impl!(
    static TIME: TimeDriver<Bare, 8> = TimeDriver::new(SCHEDULER.platform())
);

/// Numbers from tasks to a fiber.
static NUMBERS: Channel<CriticalSectionRawMutex, u64, 4> = Channel::new();

#[embassy_executor::task(pool_size = 2)]
async fn counts(step: u64) {
    for number in 1..=10 {
        Timer::after_micros(100 * step).await;
        NUMBERS.send(number * step).await;
    }
}

/// Runs a fiber beside one that runs the time driver, until it ends.
fn with_time<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    let time = SCHEDULER.builder().name("time").priority(Priority::HIGHEST);
    let time = time.spawn(&CELLS, || TIME.run()).expect("a cell is free");
    let fiber = spawn("fiber", move || {
        let result = f();
        time.cancel();
        result
    });
    run_all();
    fiber.try_join().expect("ended")
}

kernel_test! {
    /// The example: two tasks count, and a fiber that blocks adds up what they send.
    fn tasks_with_timers_send_to_a_fiber() {
        static EXECUTOR: Executor = Executor::new();
        let sum = with_time(|| {
            let tasks = spawn("tasks", || {
                EXECUTOR.run(|spawner: Spawner| {
                    spawner.spawn(counts(1).expect("a free task"));
                    spawner.spawn(counts(100).expect("a free task"));
                })
            });
            let sum: u64 = (0..20).map(|_| block_on(NUMBERS.receive())).sum();
            tasks.cancel();
            sum
        });
        assert_eq!(sum, 55 * 101);
    }

    fn timers_work_in_any_future_that_a_fiber_runs_and_never_end_early() icount {
        let late = with_time(|| {
            block_on(async {
                let mut worst = 0;
                for microseconds in [1, 10, 100, 1_000, 50_000] {
                    let until = Instant::now() + Duration::from_micros(microseconds);
                    Timer::at(until).await;
                    let late = Instant::now().checked_duration_since(until).expect("it ended early");
                    worst = worst.max(late.as_micros());
                }
                let timed_out = with_timeout(Duration::from_millis(2), core::future::pending::<()>()).await;
                assert!(timed_out.is_err());
                let before = Instant::now();
                Delay.delay_us(700).await;
                assert!(before.elapsed() >= Duration::from_micros(700));
                worst
            })
        });
        assert!(late <= 40, "{late} µs late");
    }

    fn an_interrupt_handler_wakes_a_task() {
        static EXECUTOR: Executor = Executor::new();
        static TICKED: Signal<CriticalSectionRawMutex, u64> = Signal::new();
        static SEEN: AtomicU64 = AtomicU64::new(0);
        #[embassy_executor::task]
        async fn watches() {
            SEEN.store(TICKED.wait().await, Ordering::Relaxed);
        }
        let tasks = spawn("tasks", || {
            on_tick(|_| {
                TICKED.signal(42);
                SCHEDULER.timer_interrupt();
            });
            EXECUTOR.run(|spawner| spawner.spawn(watches().expect("a free task")))
        });
        spawn("sleeper", move || {
            while SEEN.load(Ordering::Relaxed) == 0 {
                sleep(core::time::Duration::from_millis(1)).expect("nobody cancels it"); // and so asks for ticks
            }
            tasks.cancel();
        })
        .detach();
        run_all();
        assert_eq!(SEEN.load(Ordering::Relaxed), 42);
    }

    /// An urgent executor takes over wherever a fiber of a busy one yields.
    fn an_executor_of_a_higher_priority_comes_first() {
        static URGENT: Executor = Executor::new();
        static LAZY: Executor = Executor::new();
        static ORDER: Channel<CriticalSectionRawMutex, &str, 4> = Channel::new();
        static GO: Signal<CriticalSectionRawMutex, ()> = Signal::new();
        #[embassy_executor::task]
        async fn urgent() {
            GO.wait().await;
            ORDER.send("urgent").await;
        }
        #[embassy_executor::task]
        async fn lazy() {
            GO.signal(());
            embassy_yield().await;
            ORDER.send("lazy").await;
        }
        async fn embassy_yield() {
            let mut has_yielded = false;
            core::future::poll_fn(|context| {
                context.waker().wake_by_ref();
                if core::mem::replace(&mut has_yielded, true) {
                    core::task::Poll::Ready(())
                } else {
                    core::task::Poll::Pending
                }
            })
            .await;
        }
        let high = SCHEDULER.builder().name("urgent").priority(Priority::HIGHEST);
        let high = high.spawn(&CELLS, || URGENT.run(|spawner| spawner.spawn(urgent().expect("free"))));
        let high = high.expect("a cell is free");
        let low = spawn("lazy", || LAZY.run(|spawner| spawner.spawn(lazy().expect("free"))));
        spawn("observer", move || {
            let order = [block_on(ORDER.receive()), block_on(ORDER.receive())];
            assert_eq!(order, ["urgent", "lazy"]);
            high.cancel();
            low.cancel();
        })
        .detach();
        run_all();
    }
}
