//! Futures on fibers: handles as futures, nesting, wakers that come late or too often.

use super::{fresh, in_fiber, message_of};
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use kfiber::platform::Host;
use kfiber::scheduler::{self, WaitError, block_on};
use std::sync::{Arc, Mutex};

type Shared = Arc<Mutex<Option<Waker>>>;

/// Is pending once, and leaves its waker behind.
fn pending_once(place: Shared) -> impl Future<Output = ()> {
    let mut is_first = true;
    poll_fn(move |context| {
        *place.lock().unwrap() = Some(context.waker().clone());
        if core::mem::take(&mut is_first) {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    })
}

#[test]
fn handles_are_awaited_together() {
    let sum = in_fiber(|scheduler, cells| {
        let fibers = [1, 2, 3].map(|n| {
            let body = move || {
                scheduler::sleep(Duration::from_secs(4 - n)).unwrap();
                n
            };
            scheduler.spawn(cells, body).unwrap()
        });
        let [a, b, c] = fibers;
        block_on(async { a.await.unwrap() * 100 + b.await.unwrap() * 10 + c.await.unwrap() })
    });
    assert_eq!(sum, 123);
}

#[test]
fn a_handle_of_a_fiber_that_has_ended_is_ready_at_once() {
    in_fiber(|scheduler, cells| {
        let fiber = scheduler.spawn(cells, || 5).unwrap();
        scheduler::yield_now();
        assert_eq!(block_on(fiber), Ok(5));
    });
}

#[test]
fn polling_again_after_the_end_panics() {
    let (scheduler, cells) = fresh();
    let mut fiber = scheduler.spawn(cells, || 5).unwrap();
    let mut context = Context::from_waker(Waker::noop());
    assert!(Pin::new(&mut fiber).poll(&mut context).is_pending());
    scheduler.run();
    assert_eq!(Pin::new(&mut fiber).poll(&mut context), Poll::Ready(Ok(5)));
    let message = message_of(|| Pin::new(&mut fiber).poll(&mut context));
    assert!(message.contains("after its result was taken"), "{message}");
    let message = message_of(|| fiber.is_finished());
    assert!(message.contains("after its result was taken"), "{message}");
    assert!(format!("{fiber:?}").contains("JoinHandle"));
    fiber.cancel();
}

#[test]
fn a_handle_that_was_polled_and_dropped_does_not_tell_the_next_one() {
    static CELL: scheduler::FiberCell<65536> = scheduler::FiberCell::new();
    let (scheduler, _) = fresh();
    let flag = Arc::new(Flag::default());
    let waker = Waker::from(Arc::clone(&flag));
    let mut polled = scheduler.spawn(&CELL, || ()).unwrap();
    assert!(
        Pin::new(&mut polled)
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    drop(polled);
    scheduler.run();
    assert!(
        !flag.0.load(core::sync::atomic::Ordering::Relaxed),
        "nobody waited any more"
    );
    drop(waker);
    assert_eq!(
        Arc::strong_count(&flag),
        1,
        "the waker was dropped with the fiber"
    );
    let next = scheduler.spawn(&CELL, || 4).unwrap();
    scheduler.run();
    assert_eq!(next.try_join().unwrap(), 4);
}

#[derive(Default)]
struct Flag(core::sync::atomic::AtomicBool);

impl std::task::Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, core::sync::atomic::Ordering::Relaxed);
    }
}

#[test]
fn a_waker_of_ones_own_is_called_at_the_end() {
    let (scheduler, cells) = fresh();
    let flag = Arc::new(Flag::default());
    let waker = Waker::from(Arc::clone(&flag));
    let mut fiber = scheduler.spawn(cells, || ()).unwrap();
    assert!(
        Pin::new(&mut fiber)
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    scheduler.run();
    assert!(flag.0.load(core::sync::atomic::Ordering::Relaxed));
    fiber.try_join().unwrap();
}

#[test]
fn a_waker_is_called_at_the_end_of_each_fiber_of_a_cell_and_not_before() {
    static CELL: scheduler::FiberCell<65536> = scheduler::FiberCell::new();
    let (scheduler, _) = fresh();
    for number in 0..3 {
        let flag = Arc::new(Flag::default());
        let waker = Waker::from(Arc::clone(&flag));
        let mut fiber = scheduler.spawn(&CELL, move || number).unwrap();
        let polled = Pin::new(&mut fiber).poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
        let is_told = || flag.0.load(core::sync::atomic::Ordering::Relaxed);
        assert!(!is_told(), "fiber {number} has not even begun");
        scheduler.run();
        assert!(is_told(), "fiber {number} has ended");
        assert_eq!(fiber.try_join().unwrap(), number);
    }
}

/// Waits in its waker, and counts how many have begun to.
#[derive(Default)]
struct Slow(core::sync::atomic::AtomicUsize);

impl std::task::Wake for Slow {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, core::sync::atomic::Ordering::Relaxed);
        scheduler::sleep(Duration::from_secs(1)).unwrap();
    }
}

#[test]
fn a_fiber_is_joined_while_a_second_waker_waits() {
    let result = in_fiber(|scheduler, cells| {
        let slow = Arc::new(Slow::default());
        let waker = Waker::from(Arc::clone(&slow));
        let mut fiber = scheduler.spawn(cells, || 5).unwrap();
        for waits in 1..=2 {
            let polled = Pin::new(&mut fiber).poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
            while slow.0.load(core::sync::atomic::Ordering::Relaxed) != waits {
                // Under Miri each sleep takes long.
                let time = Duration::from_millis(if cfg!(miri) { 100 } else { 1 });
                scheduler::sleep(time).unwrap();
            }
        }
        let handle = fiber.join_timeout(Duration::from_millis(1)).unwrap_err();
        assert_eq!(handle.kind, scheduler::JoinErrorKind::TimedOut);
        let told = Arc::new(Flag::default());
        let mut fiber = handle.handle;
        let waker = Waker::from(Arc::clone(&told));
        let polled = Pin::new(&mut fiber).poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
        let is_told = told.0.load(core::sync::atomic::Ordering::Relaxed);
        assert!(is_told, "a third is refused, and told to ask again");
        fiber.join().unwrap()
    });
    assert_eq!(result, 5);
}

#[test]
fn a_waker_is_called_from_an_interrupt_handler() {
    in_fiber(|scheduler, cells| {
        let place = Shared::default();
        let future = pending_once(Arc::clone(&place));
        let fiber = scheduler.spawn(cells, move || block_on(future)).unwrap();
        scheduler::yield_now();
        assert!(!fiber.is_finished());
        let waker = place.lock().unwrap().take().unwrap();
        Host::interrupt(|| waker.wake());
        fiber.join().unwrap();
    });
}

#[test]
fn a_waker_is_called_while_the_future_is_polled() {
    let polls = in_fiber(|_, _| {
        let mut polls = 0;
        block_on(poll_fn(|context| {
            polls += 1;
            context.waker().wake_by_ref();
            if polls == 3 {
                Poll::Ready(polls)
            } else {
                Poll::Pending
            }
        }))
    });
    assert_eq!(polls, 3);
}

#[test]
fn a_waker_called_late_does_nothing() {
    let (scheduler, cells) = fresh();
    let place = Shared::default();
    let future = pending_once(Arc::clone(&place));
    let fiber = scheduler.spawn(cells, move || block_on(future)).unwrap();
    scheduler.run_until_idle();
    let waker = place.lock().unwrap().take().unwrap();
    waker.wake_by_ref();
    scheduler.run();
    fiber.try_join().unwrap();
    waker.wake_by_ref();
    waker.wake();
    scheduler.run();
}

#[test]
fn a_waker_of_the_last_fiber_disturbs_no_wait_of_the_next() {
    static CELL: scheduler::FiberCell<65536> = scheduler::FiberCell::new();
    let (scheduler, _) = fresh();
    let place = Shared::default();
    let future = pending_once(Arc::clone(&place));
    let old = scheduler.spawn(&CELL, move || block_on(future)).unwrap();
    scheduler.run_until_idle();
    let waker = place.lock().unwrap().take().unwrap();
    waker.wake_by_ref();
    scheduler.run();
    old.try_join().unwrap();
    let new = scheduler.spawn(&CELL, || {
        let first = scheduler::park_timeout(Duration::from_secs(1));
        scheduler::sleep(Duration::from_secs(1)).unwrap();
        (first, scheduler::now())
    });
    let new = new.unwrap();
    waker.wake_by_ref();
    scheduler.run_until_idle();
    waker.wake();
    scheduler.run();
    assert_eq!(
        new.try_join().unwrap(),
        (Err(WaitError::TimedOut), 2_000_000_000)
    );
}

#[test]
fn futures_are_nested() {
    in_fiber(|scheduler, cells| {
        let outer_place = Shared::default();
        let outer = pending_once(Arc::clone(&outer_place));
        let fiber = scheduler.spawn(cells, move || {
            let mut outer = Box::pin(outer);
            block_on(poll_fn(|context| {
                let polled = outer.as_mut().poll(context);
                // Takes the notification that may be meant for the outer one.
                block_on(core::future::ready(()));
                polled
            }));
        });
        let fiber = fiber.unwrap();
        scheduler::yield_now();
        outer_place.lock().unwrap().take().unwrap().wake();
        fiber.join().unwrap();
    });
}

#[test]
fn an_inner_future_does_not_swallow_the_outer_ones_wake() {
    in_fiber(|scheduler, cells| {
        let (outer_place, inner_place) = (Shared::default(), Shared::default());
        let (outer, inner) = (
            pending_once(Arc::clone(&outer_place)),
            Arc::clone(&inner_place),
        );
        let fiber = scheduler.spawn(cells, move || {
            let mut outer = Box::pin(outer);
            block_on(poll_fn(|context| {
                let polled = outer.as_mut().poll(context);
                block_on(pending_once(Arc::clone(&inner)));
                polled
            }));
        });
        let fiber = fiber.unwrap();
        scheduler::yield_now();
        // The fiber waits in the inner one. Both are woken, in one.
        outer_place.lock().unwrap().take().unwrap().wake();
        scheduler::yield_now();
        for _ in 0..4 {
            if let Some(waker) = inner_place.lock().unwrap().take() {
                waker.wake();
            }
            scheduler::yield_now();
        }
        assert!(fiber.is_finished(), "the outer one was not polled again");
        fiber.join().unwrap();
    });
}

#[test]
fn cancelling_does_not_end_a_future() {
    in_fiber(|scheduler, cells| {
        let place = Shared::default();
        let future = pending_once(Arc::clone(&place));
        let fiber = scheduler.spawn(cells, move || block_on(future)).unwrap();
        scheduler::yield_now();
        fiber.cancel();
        scheduler::yield_now();
        assert!(!fiber.is_finished());
        place.lock().unwrap().take().unwrap().wake();
        fiber.join().unwrap();
    });
}
