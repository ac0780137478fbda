//! Delays on the host, whose clock jumps: how long they take, and who runs meanwhile.
#![expect(clippy::unwrap_used, reason = "a test says what failed by its line")]

use core::cell::Cell;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use embedded_hal::delay::DelayNs;
use embedded_hal_async::delay::DelayNs as AsyncDelayNs;
use kfiber::platform::Host;
use kfiber::scheduler::{self, FiberPool, Priority, Scheduler, WaitError, block_on};
use kfiber_embedded_hal::{DelayTimer, FiberDelay};
use std::sync::Mutex;

type World = (&'static Scheduler<Host>, &'static FiberPool<65536, 4>);

fn world() -> World {
    (
        Box::leak(Box::new(Scheduler::new(Host::new()))),
        Box::leak(Box::new(FiberPool::new())),
    )
}

/// Runs a fiber beside one that runs the timer.
fn with_timer<T: Send + 'static, const DELAYS: usize>(
    timer: &'static DelayTimer<DELAYS>,
    f: impl FnOnce(&'static Host) -> T + Send + 'static,
) -> T {
    let (s, cells) = world();
    let runner = s.builder().priority(Priority::HIGHEST);
    let runner = runner.spawn(cells, || timer.run()).unwrap();
    let fiber = s.spawn(cells, move || {
        let result = f(s.platform());
        runner.cancel();
        (result, runner.join().unwrap())
    });
    s.run();
    let (result, ended) = fiber.unwrap().try_join().unwrap();
    assert!(matches!(ended, Err(WaitError::Cancelled)));
    result
}

#[test]
fn a_delay_takes_its_time_in_each_unit_and_others_run_meanwhile() {
    static LOG: Mutex<Vec<(&str, u64)>> = Mutex::new(Vec::new());
    let (s, cells) = world();
    let say = |word| LOG.lock().unwrap().push((word, scheduler::now()));
    let driver = s.spawn(cells, move || {
        let mut delay = FiberDelay;
        delay.delay_ns(1_500);
        say("ns");
        delay.delay_us(u32::MAX);
        say("us");
        delay.delay_ms(u32::MAX);
        say("ms");
        delay.delay_ns(0);
    });
    driver.unwrap().detach();
    let other = s.spawn(cells, move || {
        say("other");
        scheduler::sleep(core::time::Duration::from_secs(1)).unwrap();
        say("other");
    });
    other.unwrap().detach();
    s.run();
    let us = 1_500 + u64::from(u32::MAX) * 1_000;
    assert_eq!(
        *LOG.lock().unwrap(),
        [
            ("other", 0),
            ("ns", 1_500),
            ("other", 1_000_000_000),
            ("us", us),
            ("ms", us + u64::from(u32::MAX) * 1_000_000)
        ]
    );
}

#[test]
fn cancelling_a_fiber_does_not_shorten_its_delay() {
    let (s, cells) = world();
    let driver = s.spawn(cells, || {
        FiberDelay.delay_ms(5);
        (scheduler::now(), scheduler::check_cancelled())
    });
    let driver = driver.unwrap();
    s.spawn(cells, move || {
        scheduler::yield_now();
        driver.cancel();
        let ended = driver.join().unwrap();
        assert_eq!(ended, (5_000_000, Err(WaitError::Cancelled)));
    })
    .unwrap()
    .detach();
    s.run();
    assert_eq!(s.fibers().count(), 0);
}

#[test]
fn an_async_delay_takes_its_time_and_its_fiber_waits() {
    static TIMER: DelayTimer<2> = DelayTimer::new();
    let times = with_timer(&TIMER, |_| {
        let mut times = Vec::new();
        block_on(async {
            let mut delay = &TIMER;
            delay.delay_ns(1_500).await;
            times.push(scheduler::now());
            delay.delay_us(10).await;
            times.push(scheduler::now());
            delay.delay_ms(3).await;
            times.push(scheduler::now());
        });
        times
    });
    assert_eq!(times, [1_500, 11_500, 3_011_500]);
}

/// Polls three delays of so many milliseconds until all are over. Returns which ended when, in milliseconds.
async fn together<const DELAYS: usize>(
    timer: &'static DelayTimer<DELAYS>,
    lengths: [u32; 3],
    before_each_poll: impl Fn(),
) -> Vec<(usize, u64)> {
    let mut timers = [timer; 3];
    let mut delays = Vec::new();
    for (timer, length) in timers.iter_mut().zip(lengths) {
        delays.push(Some(Box::pin(timer.delay_ms(length))));
    }
    let mut ended = Vec::new();
    core::future::poll_fn(|context| {
        before_each_poll();
        for (index, place) in delays.iter_mut().enumerate() {
            let is_over = place
                .as_mut()
                .is_some_and(|delay| delay.as_mut().poll(context).is_ready());
            if is_over {
                *place = None;
                ended.push((index, scheduler::now() / 1_000_000));
            }
        }
        if ended.len() == lengths.len() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    ended
}

#[test]
fn delays_overlap_and_end_in_the_order_of_their_deadlines() {
    static TIMER: DelayTimer<3> = DelayTimer::new();
    let ended = with_timer(&TIMER, |_| block_on(together(&TIMER, [3, 1, 2], || ())));
    assert_eq!(ended, [(1, 1), (2, 2), (0, 3)]);
}

/// The clock of the host stands still while a fiber is ready, as one with a delay without a place is. So it is advanced.
#[test]
fn delays_for_which_no_place_is_left_are_right_too() {
    static TIMER: DelayTimer<1> = DelayTimer::new();
    let ended = with_timer(&TIMER, |host| {
        let polls = Cell::new(0);
        let advance = || {
            host.advance(500_000 * polls.replace(1).min(1));
        };
        block_on(together(&TIMER, [3, 1, 2], advance))
    });
    assert_eq!(ended, [(1, 1), (2, 2), (0, 3)]);
}

#[test]
fn a_delay_that_is_dropped_gives_its_place_back() {
    static TIMER: DelayTimer<1> = DelayTimer::new();
    let waited = with_timer(&TIMER, |_| {
        for _ in 0..3 {
            let mut timer = &TIMER;
            let mut given_up = pin!(timer.delay_ms(1_000));
            let mut context = Context::from_waker(Waker::noop());
            assert!(given_up.as_mut().poll(&mut context).is_pending());
        }
        block_on(async {
            let mut timer = &TIMER;
            timer.delay_ms(1).await; // it would be polled for ever without a place: the clock stands still
        });
        scheduler::now()
    });
    assert_eq!(waited, 1_000_000);
}
