//! Futures: a fiber in `block_on` polls again whenever its waker was called.

use crate::baton::Mutex;
use crate::dice::{choose, note};
use crate::machine::point;
use crate::stage::Stage;
use core::future::poll_fn;
use core::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use core::task::{Poll, Waker};
use kfiber::scheduler::{self, current_name};
use std::sync::Arc;

#[derive(Default)]
struct Bench {
    waker: Mutex<Option<Waker>>,
    given: AtomicUsize,
    kept: AtomicUsize,
}

pub(super) fn play(stage: &mut Stage) {
    for _ in 0..1 + choose(3) {
        let bench = Arc::new(Bench::default());
        let needed = 1 + choose(4);
        bench.kept.store(needed, SeqCst);
        let waiter = bench.clone();
        stage.fiber("who polls", move || {
            let mut had = 0;
            let future = poll_fn(|context| {
                point();
                *waiter.waker.lock().expect("no holder panics") = Some(context.waker().clone());
                had += waiter.given.swap(0, SeqCst);
                note(|| format!("{} polls: {had} of {needed}", current_name()));
                point();
                if had == needed {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            });
            scheduler::block_on(future);
        });
        stage.that_may_be_cancelled();
        stage.device(move || {
            let kept = bench.kept.load(SeqCst);
            if kept == 0 {
                return false;
            }
            bench.kept.store(kept - 1, SeqCst);
            bench.given.fetch_add(1, SeqCst);
            let waker = bench.waker.lock().expect("no holder panics").clone();
            if let Some(waker) = waker {
                waker.wake();
            }
            true
        });
    }
}
