//! What is no contender, for it is something else, but gives the figures a place: polling, and threads.

use core::cell::Cell;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use crate::bench::{Bench, Plan, sum_from};
use crate::contender::STOP;

/// A future without a stack that answers each word with that word plus one.
struct Stackless {
    future: Pin<Box<dyn Future<Output = ()>>>,
    word: Rc<Cell<usize>>,
}

/// Suspends once.
struct Suspension(bool);

impl Future for Suspension {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if core::mem::replace(&mut self.0, true) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

async fn answer(word: Rc<Cell<usize>>) {
    loop {
        word.set(word.get() + 1);
        Suspension(false).await;
    }
}

#[inline(never)]
fn poll(future: &mut Pin<Box<dyn Future<Output = ()>>>, word: &Cell<usize>, laps: usize) -> usize {
    let mut context = Context::from_waker(Waker::noop());
    let mut sum = 0_usize;
    for number in 0..laps {
        word.set(number);
        assert!(future.as_mut().poll(&mut context).is_pending());
        sum = sum.wrapping_add(word.get());
    }
    sum
}

impl Bench for Stackless {
    fn run(&mut self, laps: usize) -> Duration {
        let start = Instant::now();
        let sum = poll(&mut self.future, &self.word, laps);
        let time = start.elapsed();
        assert_eq!(sum, sum_from(1, laps), "a word was lost: async");
        time
    }

    fn finish(self: Box<Self>) {}
}

/// A thread that answers each word with that word plus one, on the same core.
struct Threads {
    /// Odd: ours; even: the other's.
    word: Arc<AtomicUsize>,
    other: JoinHandle<()>,
}

fn wait_for(word: &AtomicUsize, parity: usize) -> usize {
    loop {
        let now = word.load(Ordering::Acquire);
        if now % 2 == parity || now == STOP {
            return now;
        }
        thread::park();
    }
}

fn answer_thread(word: &AtomicUsize, other: &Thread) {
    loop {
        let now = wait_for(word, 0);
        if now == STOP {
            return;
        }
        word.store(now + 1, Ordering::Release);
        other.unpark();
    }
}

impl Bench for Threads {
    fn run(&mut self, laps: usize) -> Duration {
        let start = Instant::now();
        for number in 0..laps {
            self.word.store(number * 2, Ordering::Release);
            self.other.thread().unpark();
            assert_eq!(
                wait_for(&self.word, 1),
                number * 2 + 1,
                "a word was lost: threads"
            );
        }
        start.elapsed()
    }

    fn finish(self: Box<Self>) {
        self.word.store(STOP, Ordering::Release);
        self.other.thread().unpark();
        self.other.join().expect("it does not panic");
    }
}

fn stackless() -> Stackless {
    let word = Rc::new(Cell::new(0));
    Stackless {
        future: Box::pin(answer(Rc::clone(&word))),
        word,
    }
}

fn threads() -> Threads {
    let word = Arc::new(AtomicUsize::new(1));
    let (theirs, us) = (Arc::clone(&word), thread::current());
    let other = thread::spawn(move || answer_thread(&theirs, &us));
    Threads { word, other }
}

/// Both.
pub(crate) fn plans() -> Vec<Plan> {
    vec![
        Plan::new("async", "inlined", stackless),
        Plan::new("threads", "inlined", threads),
    ]
}
