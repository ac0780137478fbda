//! Wait queues: one wake for each token, and a wake that its fiber does not need goes to the next.

use super::MOST_FIBERS;
use crate::baton::Mutex;
use crate::dice::{choose, note};
use crate::machine::{point, some_deadline, until_loosely};
use crate::stage::Stage;
use core::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use kfiber::scheduler::{WaitError, current_name};
use kfiber::sync::WaitQueue;
use std::sync::Arc;

struct Bench {
    queue: WaitQueue,
    tokens: Mutex<usize>,
    /// Tokens that the device has yet to give.
    kept: AtomicUsize,
    taken: AtomicUsize,
}

impl Bench {
    fn take(&self) -> bool {
        let mut tokens = self.tokens.lock().expect("no holder panics");
        let has = *tokens > 0;
        *tokens -= usize::from(has);
        has
    }

    fn give(&self, count: usize) {
        for _ in 0..count {
            *self.tokens.lock().expect("no holder panics") += 1;
            self.queue.wake_one();
        }
    }
}

pub(super) fn play(stage: &mut Stage) {
    let fibers = 2 + choose(MOST_FIBERS - 1);
    let bench = Arc::new(Bench {
        queue: WaitQueue::new(),
        tokens: Mutex::new(choose(2)),
        kept: AtomicUsize::new(fibers),
        taken: AtomicUsize::new(0),
    });
    for _ in 0..fibers {
        let bench = bench.clone();
        stage.fiber("of the queue", move || {
            loop {
                let deadline = some_deadline();
                let has_none = || {
                    point();
                    let has = bench.take();
                    point();
                    !has
                };
                let wait = || bench.queue.wait_while_until(deadline, has_none);
                let waited = until_loosely(deadline, wait);
                note(|| format!("{}: {waited:?}", current_name()));
                match waited {
                    Ok(()) => break,
                    Err(WaitError::TimedOut) => {}
                    Err(WaitError::Cancelled) => return,
                }
                point();
            }
            bench.taken.fetch_add(1, SeqCst);
            if choose(4) == 3 {
                // It goes on, to whoever waits.
                point();
                bench.taken.fetch_sub(1, SeqCst);
                bench.give(1);
            }
        });
        stage.that_may_be_cancelled();
    }
    let device = bench.clone();
    stage.device(move || {
        let kept = device.kept.load(SeqCst);
        if kept == 0 {
            return false;
        }
        let count = 1 + choose(kept);
        device.kept.fetch_sub(count, SeqCst);
        device.give(count);
        true
    });
    stage.end(move || {
        assert!(bench.queue.is_empty(), "somebody who has ended waits");
        let left = *bench.tokens.lock().expect("no holder panics") + bench.kept.load(SeqCst);
        let taken = bench.taken.load(SeqCst);
        assert!((fibers..=fibers + 1).contains(&(left + taken)), "tokens");
    });
}
