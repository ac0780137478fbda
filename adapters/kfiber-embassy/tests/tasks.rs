//! Tasks and timers of embassy on the host, whose clock jumps.
//!
//! A program has one time driver, so all tests share its scheduler: they are one test, in parts.
#![expect(clippy::unwrap_used, reason = "a test says what failed by its line")]

use core::convert::Infallible;
use core::future::{pending, poll_fn};
use core::task::Poll;
use embassy_executor::{SendSpawner, Spawner};
use embassy_time::{Duration, Instant, TICK_HZ, Timer, with_timeout};
use kfiber::platform::{Host, Platform};
use kfiber::scheduler::{
    self, FiberPool, JoinErrorKind, JoinHandle, Priority, Scheduler, WaitError, block_on,
};
use kfiber::sync::Semaphore;
use kfiber_embassy::{Executor, TimeDriver};
use std::panic::catch_unwind;
use std::sync::Mutex;

static SCHEDULER: Scheduler<Host> = Scheduler::new(Host::new());
static CELLS: FiberPool<65536, 8> = FiberPool::new();
static LOG: Mutex<Vec<(&str, u64)>> = Mutex::new(Vec::new());

embassy_time_driver::time_driver_impl!(
    static TIME: TimeDriver<Host, 4> = TimeDriver::new(SCHEDULER.platform())
);

type Runner = JoinHandle<Result<Infallible, WaitError>>;

/// Notes a word and the milliseconds since the test's part began.
fn say(word: &'static str, since: Instant) {
    let time = since.elapsed().as_millis();
    LOG.lock().unwrap().push((word, time));
}

fn said() -> Vec<(&'static str, u64)> {
    core::mem::take(&mut *LOG.lock().unwrap())
}

fn end(runner: Runner) {
    runner.cancel();
    assert!(matches!(runner.join().unwrap(), Err(WaitError::Cancelled)));
}

fn run(executor: &'static Executor, init: impl FnOnce(Spawner) + Send + 'static) -> Runner {
    SCHEDULER.spawn(&CELLS, move || executor.run(init)).unwrap()
}

#[embassy_executor::task(pool_size = 4)]
async fn sleeps(word: &'static str, milliseconds: u64, since: Instant) {
    for _ in 0..2 {
        Timer::after_millis(milliseconds).await;
        say(word, since);
    }
}

/// A task that woke itself before it ended is gone when its executor has polled it again, and so one more fits.
#[embassy_executor::task(pool_size = 2)]
async fn never_sleeps(rounds: u32, done: &'static Semaphore) {
    for _ in 0..rounds {
        let mut is_second = false;
        poll_fn(|context| {
            context.waker().wake_by_ref();
            if core::mem::replace(&mut is_second, true) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }
    done.release(1).unwrap();
}

#[embassy_executor::task]
async fn panics() {
    Timer::after_millis(1).await;
    panic!("by plan");
}

fn tasks_sleep_beside_fibers() {
    static EXECUTOR: Executor = Executor::new();
    let since = Instant::now();
    let runner = run(&EXECUTOR, move |spawner| {
        spawner.spawn(sleeps("a", 3, since).unwrap());
        spawner.spawn(sleeps("b", 2, since).unwrap());
    });
    for _ in 0..2 {
        scheduler::sleep(core::time::Duration::from_micros(2_500)).unwrap();
        say("fiber", since);
    }
    scheduler::sleep(core::time::Duration::from_millis(5)).unwrap();
    end(runner);
    let expected = [
        ("b", 2),
        ("fiber", 2),
        ("a", 3),
        ("b", 4),
        ("fiber", 5),
        ("a", 6),
    ];
    assert_eq!(said(), expected);
}

fn more_timers_than_places_end_all_the_same() {
    static EXECUTOR: Executor = Executor::new();
    let since = Instant::now();
    let runner = run(&EXECUTOR, move |spawner| {
        for word in ["a", "b", "c", "d"] {
            spawner.spawn(sleeps(word, 1, since).unwrap());
        }
    });
    let others = [1, 1].map(|milliseconds| {
        let waits = move || block_on(Timer::after_millis(milliseconds));
        SCHEDULER.spawn(&CELLS, waits).unwrap()
    });
    // Two are woken early again and again, so the clock of the host does not jump.
    while !others.iter().all(JoinHandle::is_finished) {
        scheduler::yield_now();
        SCHEDULER.platform().advance(100_000);
    }
    for other in others {
        other.join().unwrap();
    }
    scheduler::sleep(core::time::Duration::from_millis(2)).unwrap();
    end(runner);
    let words = said();
    assert_eq!(words.len(), 8, "{words:?}");
    assert!(words.iter().all(|(_, time)| *time >= 1), "{words:?}");
}

fn any_future_has_timers_in_a_fiber() {
    let since = Instant::now();
    block_on(async {
        let timed_out = with_timeout(Duration::from_millis(7), pending::<()>()).await;
        assert!(timed_out.is_err());
        say("timeout", since);
    });
    assert_eq!(said(), [("timeout", 7)]);
    // A timer that is over already, and the units of the clock.
    block_on(Timer::at(since));
    let before = SCHEDULER.platform().now();
    block_on(Timer::after_ticks(3));
    let passed = SCHEDULER.platform().now() - before;
    assert!(passed >= 3 * 1_000_000_000 / TICK_HZ, "{passed}");
}

fn tasks_that_never_wait_let_others_run() {
    static EXECUTOR: Executor = Executor::new();
    static DONE: Semaphore = Semaphore::new(0);
    let runner = run(&EXECUTOR, |spawner| {
        spawner.spawn(never_sleeps(100, &DONE).unwrap());
    });
    let mut turns = 0;
    while !DONE.try_acquire() {
        turns += 1;
        scheduler::yield_now();
    }
    assert!(turns >= 100, "{turns}");
    end(runner);
}

fn tasks_are_spawned_from_other_fibers_and_woken_by_interrupts() {
    static EXECUTOR: Executor = Executor::new();
    static SPAWNER: Mutex<Option<SendSpawner>> = Mutex::new(None);
    static DONE: Semaphore = Semaphore::new(0);
    let runner = run(&EXECUTOR, |spawner| {
        *SPAWNER.lock().unwrap() = Some(spawner.make_send());
    });
    scheduler::yield_now();
    let spawner = SPAWNER.lock().unwrap().take().unwrap();
    // The task's waker is used in a handler: spawning does the same as waking.
    Host::interrupt(|| spawner.spawn(never_sleeps(1, &DONE).unwrap()));
    DONE.acquire().unwrap();
    end(runner);
}

fn an_executor_runs_once_and_fails_with_its_task() {
    static EXECUTOR: Executor = Executor::new();
    let runner = run(&EXECUTOR, |spawner| spawner.spawn(panics().unwrap()));
    let error = runner.join().map(|_| ()).unwrap_err();
    assert!(
        matches!(error.kind, JoinErrorKind::Failed(failure) if failure.to_string().contains("by plan"))
    );
    let again = run(&EXECUTOR, |_| ());
    let error = again.join().map(|_| ()).unwrap_err();
    assert!(
        matches!(error.kind, JoinErrorKind::Failed(failure) if failure.to_string().contains("run twice"))
    );
}

#[test]
fn embassy_in_fibers() {
    struct Contain;
    impl scheduler::Hooks for Contain {
        fn report(&self, _report: &scheduler::Report<'_>) {}
    }
    SCHEDULER.set_hooks(&Contain).unwrap();
    let time = SCHEDULER.builder().priority(Priority::HIGHEST);
    let time = time.spawn(&CELLS, || TIME.run()).unwrap();
    let parts = SCHEDULER.spawn(&CELLS, move || {
        let ended = catch_unwind(|| {
            tasks_sleep_beside_fibers();
            more_timers_than_places_end_all_the_same();
            any_future_has_timers_in_a_fiber();
            tasks_that_never_wait_let_others_run();
            tasks_are_spawned_from_other_fibers_and_woken_by_interrupts();
            an_executor_runs_once_and_fails_with_its_task();
        });
        end(time);
        if ended.is_err() {
            // Fibers of the part that failed may wait for ever.
            std::process::exit(101);
        }
    });
    SCHEDULER.run();
    parts.unwrap().try_join().unwrap();
}
