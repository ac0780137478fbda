//! Code of the program that leaves interrupts off where the library goes on: the fiber in which it ran fails, and the next one
//! is innocent.

use crate::{S, assert_names, child, contain, end_of, settle, spawn};
use core::future::{Future as _, pending, poll_fn};
use core::mem::forget;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use kfiber::scheduler::{JoinHandle, block_on, yield_now};
use kfiber::sync::IrqMutex;
use std::panic::panic_any;
use std::sync::Arc;
use std::task::Wake;

static WORDS: IrqMutex<u32> = IrqMutex::new(0);

/// Leaves interrupts off.
fn leave() {
    forget(WORDS.lock());
}

/// Leaves interrupts off when it is dropped.
struct LeavesWhenDropped;

impl Drop for LeavesWhenDropped {
    fn drop(&mut self) {
        leave();
    }
}

impl Wake for LeavesWhenDropped {
    fn wake(self: Arc<Self>) {}
}

/// Leaves interrupts off when it is woken.
struct LeavesWhenWoken;

impl Wake for LeavesWhenWoken {
    fn wake(self: Arc<Self>) {
        leave();
    }
}

fn poll<T>(handle: &mut JoinHandle<T>, waker: &Waker) {
    let polled = Pin::new(handle).poll(&mut Context::from_waker(waker));
    assert!(polled.is_pending());
}

/// Whoever does this fails, with these words, and the next one is innocent.
fn fails<T: core::fmt::Debug + Send + 'static>(
    words: &[&str],
    does: impl FnOnce() -> T + Send + 'static,
) {
    contain();
    let culprit = spawn("culprit", does);
    let innocent = spawn("innocent", || {
        settle();
        1
    });
    S.run();
    assert_eq!(end_of(innocent), Ok(1));
    assert_names(&end_of(culprit).unwrap_err(), words);
}

/// What ends the process of a fiber that waits after `leave`.
const OF_A_WAIT: &[&str] = &[
    "waiting with interrupts off",
    "since tests/model/left_off.rs",
];

#[test]
fn a_future_that_keeps_a_guard_while_it_is_pending_fails_its_fiber() {
    child::passes(|| {
        fails(OF_A_WAIT, || {
            block_on(async {
                let _guard = WORDS.lock();
                pending::<()>().await;
            });
        });
    });
}

#[test]
fn a_future_that_is_pending_with_interrupts_off_ends_the_process() {
    child::aborts(OF_A_WAIT, || {
        let body = || {
            block_on(poll_fn(|_| -> Poll<()> {
                leave();
                Poll::Pending
            }));
        };
        spawn("culprit", body).detach();
        S.run();
    });
}

#[test]
fn a_joiner_whose_waker_leaves_interrupts_off_ends_the_process() {
    child::aborts(OF_A_WAIT, || {
        let body = || {
            let mut other = spawn("other", settle);
            poll(&mut other, &Waker::from(Arc::new(LeavesWhenDropped)));
            drop(other.join());
        };
        spawn("culprit", body).detach();
        S.run();
    });
}

#[test]
fn a_fiber_whose_result_leaves_interrupts_off_when_nobody_takes_it_fails() {
    child::passes(|| {
        contain();
        let culprit = spawn("culprit", || LeavesWhenDropped);
        let id = culprit.id();
        culprit.detach();
        let innocent = spawn("innocent", || {
            settle();
            1
        });
        S.run();
        assert_eq!(end_of(innocent), Ok(1));
        assert!(S.fibers().any(|it| it.id == id), "it failed");
    });
}

#[test]
fn a_fiber_whose_waker_leaves_interrupts_off_fails() {
    child::passes(|| {
        contain();
        let mut culprit = spawn("culprit", || 1);
        poll(&mut culprit, &Waker::from(Arc::new(LeavesWhenWoken)));
        let innocent = spawn("innocent", || {
            settle();
            1
        });
        S.run();
        assert_eq!(end_of(innocent), Ok(1));
        assert_names(&end_of(culprit).unwrap_err(), &["left_off.rs"]);
    });
}

#[test]
fn a_panic_whose_payload_leaves_interrupts_off_ends_its_fiber_alone() {
    child::passes(|| {
        fails(&["payload"], || {
            yield_now();
            panic_any(LeavesWhenDropped);
        });
    });
}

#[test]
fn a_fiber_that_fails_and_whose_waker_leaves_interrupts_off_ends_alone() {
    child::passes(|| {
        contain();
        let mut culprit = spawn("culprit", || panic!("on purpose"));
        poll::<()>(&mut culprit, &Waker::from(Arc::new(LeavesWhenWoken)));
        let innocent = spawn("innocent", || {
            settle();
            1
        });
        S.run();
        assert_eq!(end_of(innocent), Ok(1));
        assert_names(&end_of(culprit).unwrap_err(), &["on purpose"]);
    });
}
