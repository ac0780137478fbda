//! Permits: each is handed to the one who has waited longest, and none appears or is lost.

use super::MOST_FIBERS;
use crate::baton::Mutex;
use crate::dice::{choose, note};
use crate::machine::{is_alone, point, some_deadline, until};
use crate::stage::Stage;
use core::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use kfiber::platform::NEVER;
use kfiber::scheduler::{WaitError, current_name};
use kfiber::sync::{Semaphore, TooManyPermits};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

/// What a semaphore is believed to do; exact where nothing else runs at the same time.
#[derive(Default)]
struct Belief {
    permits: usize,
    tickets: usize,
    line: VecDeque<usize>,
    served: BTreeSet<usize>,
}

struct Bench {
    semaphore: Semaphore,
    limit: usize,
    belief: Mutex<Belief>,
    /// Permits that the device has.
    kept: AtomicUsize,
}

impl Bench {
    fn believe<R>(&self, f: impl FnOnce(&mut Belief) -> R) -> R {
        f(&mut self.belief.lock().expect("no holder panics"))
    }

    fn acquire(&self, deadline: u64) -> Result<(), WaitError> {
        let ticket = self.believe(|belief| {
            belief.tickets += 1;
            if belief.permits > 0 {
                belief.permits -= 1;
                belief.served.insert(belief.tickets);
            } else {
                belief.line.push_back(belief.tickets);
            }
            belief.tickets
        });
        let result = if deadline == NEVER {
            self.semaphore.acquire()
        } else {
            let wait = || self.semaphore.acquire_until(deadline);
            until(deadline, wait, |result| *result == Err(WaitError::TimedOut))
        };
        note(|| format!("{} acquires: {result:?}", current_name()));
        self.believe(|belief| {
            let is_served = belief.served.remove(&ticket);
            belief.line.retain(|other| *other != ticket);
            let name = current_name();
            assert!(
                !is_alone() || is_served == result.is_ok(),
                "{name} got {result:?}, and it was{} its turn",
                if is_served { "" } else { " not" }
            );
        });
        result
    }

    fn release(&self, count: usize) {
        let expected = self.believe(|belief| {
            let served = count.min(belief.line.len());
            let left = count - served;
            if left > self.limit - belief.permits {
                return Err(TooManyPermits { count });
            }
            belief.served.extend(belief.line.drain(..served));
            belief.permits += left;
            Ok(())
        });
        let result = self.semaphore.release(count);
        if is_alone() {
            assert_eq!(result, expected);
        } else {
            result.expect("there are not more than there were");
        }
    }

    fn try_acquire(&self) -> bool {
        let has = self.semaphore.try_acquire();
        self.believe(|belief| {
            assert!(!is_alone() || has == (belief.permits > 0), "a permit");
            belief.permits = belief.permits.saturating_sub(usize::from(has));
        });
        has
    }
}

pub(super) fn play(stage: &mut Stage) {
    let (there, kept) = (choose(3), 1 + choose(3));
    let limit = there + kept + choose(3);
    let bench = Arc::new(Bench {
        semaphore: Semaphore::with_limit(there, limit),
        limit,
        belief: Mutex::default(),
        kept: AtomicUsize::new(kept),
    });
    bench.believe(|belief| belief.permits = there);
    for _ in 0..2 + choose(MOST_FIBERS - 1) {
        let bench = bench.clone();
        let rounds = 1 + choose(4);
        stage.fiber("of the semaphore", move || {
            for _ in 0..rounds {
                let has = match choose(4) {
                    3 => bench.try_acquire(),
                    _ => {
                        let deadline = some_deadline();
                        bench.acquire(deadline).is_ok()
                    }
                };
                point();
                if has {
                    bench.release(1);
                }
                if is_alone() && choose(8) == 7 {
                    bench.release(bench.limit + choose(2) * 9 + 1 + MOST_FIBERS);
                }
                point();
            }
        });
        stage.that_may_be_cancelled();
    }
    let device = bench.clone();
    stage.device(move || {
        let kept = device.kept.load(SeqCst);
        if kept == 0 {
            // It takes some only while nobody needs to hope for it.
            if choose(4) == 3 && device.try_acquire() {
                device.kept.store(1, SeqCst);
            }
            return false;
        }
        let count = 1 + choose(kept);
        device.kept.store(kept - count, SeqCst);
        device.release(count);
        true
    });
    stage.end(move || {
        let total = bench.semaphore.available() + bench.kept.load(SeqCst);
        assert_eq!(total, there + kept, "permits");
    });
}
