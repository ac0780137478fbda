//! A fiber that waits for another one lets it run, whatever it waits by.

use crate::{S, child, contain, end_of, spawn};
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use core::task::Poll;
use kfiber::scheduler::{block_on, yield_now};

/// More polls than a future needs that lets others run in between.
const TOO_MANY: u32 = 1000;

static IS_SET: AtomicBool = AtomicBool::new(false);

/// A future that is ready when another fiber has set the flag, and wakes itself until then; says after how many polls.
fn wakes_itself(by_reference: bool) -> impl Future<Output = u32> {
    let mut polls = 0;
    poll_fn(move |context| {
        polls += 1;
        if IS_SET.load(Relaxed) || polls == TOO_MANY {
            return Poll::Ready(polls);
        }
        if by_reference {
            context.waker().wake_by_ref();
        } else {
            let waker = context.waker().clone();
            waker.wake();
        }
        Poll::Pending
    })
}

/// Runs it beside the fiber that sets the flag after some turns.
fn is_fair(turns: u32, polls: impl FnOnce() -> u32 + Send + 'static) {
    contain();
    let polls = spawn("polls", polls);
    spawn("sets", move || {
        (0..turns).for_each(|_| yield_now());
        IS_SET.store(true, Relaxed);
    })
    .detach();
    S.run();
    let polls = end_of(polls).unwrap();
    assert!(polls < TOO_MANY, "nobody ran between {polls} polls");
}

#[test]
fn a_future_that_wakes_itself_lets_others_run_between_two_polls() {
    child::passes(|| is_fair(0, || block_on(wakes_itself(true))));
}

#[test]
fn a_future_that_wakes_itself_by_a_clone_lets_others_run_too() {
    child::passes(|| is_fair(5, || block_on(wakes_itself(false))));
}

#[test]
fn a_future_under_two_block_ons_lets_others_run_too() {
    child::passes(|| {
        is_fair(5, || block_on(async { block_on(wakes_itself(true)) }));
    });
}

#[test]
fn two_futures_that_wake_themselves_take_turns() {
    static TURNS: AtomicU32 = AtomicU32::new(0);
    child::passes(|| {
        contain();
        let body = |mine: u32| {
            move || {
                let mut polls = 0;
                block_on(poll_fn(|context| {
                    polls += 1;
                    // It is the other one's turn after ours.
                    if TURNS.load(Relaxed) % 2 == mine {
                        TURNS.fetch_add(1, Relaxed);
                    }
                    if TURNS.load(Relaxed) >= 20 || polls == TOO_MANY {
                        return Poll::Ready(polls);
                    }
                    context.waker().wake_by_ref();
                    Poll::Pending
                }))
            }
        };
        let fibers = [spawn("even", body(0)), spawn("odd", body(1))];
        S.run();
        for fiber in fibers {
            assert!(end_of(fiber).unwrap() < TOO_MANY);
        }
    });
}

#[test]
fn a_join_handle_polled_beside_a_future_that_wakes_itself_is_ready_in_the_end() {
    child::passes(|| {
        contain();
        let ended = spawn("ends", || {
            (0..5).for_each(|_| yield_now());
            7
        });
        let polls = spawn("polls", || {
            let mut ended = pin!(ended);
            let mut polls = 0;
            block_on(poll_fn(|context| {
                polls += 1;
                if let Poll::Ready(result) = ended.as_mut().poll(context) {
                    return Poll::Ready(result.ok());
                }
                if polls == TOO_MANY {
                    return Poll::Ready(None);
                }
                context.waker().wake_by_ref();
                Poll::Pending
            }))
        });
        S.run();
        assert_eq!(end_of(polls), Ok(Some(7)));
    });
}
