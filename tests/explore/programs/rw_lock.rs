//! Reader-writer locks: writers alone, readers together, and nobody overtakes who has waited longer.

use super::MOST_FIBERS;
use crate::baton::Mutex;
use crate::dice::{choose, note};
use crate::machine::{is_alone, point, some_deadline, until};
use crate::stage::Stage;
use kfiber::platform::NEVER;
use kfiber::scheduler::current_name;
use kfiber::sync::RwLock;
use std::collections::VecDeque;
use std::sync::Arc;

/// What is believed of the lock; exact where nothing else runs at the same time.
#[derive(Default)]
struct Belief {
    readers: Vec<usize>,
    writer: Option<usize>,
    /// Who waits, and whether to write.
    line: VecDeque<(usize, bool)>,
}

impl Belief {
    fn serve(&mut self) {
        while let Some(&(first, writes)) = self.line.front() {
            if self.writer.is_some() || (writes && !self.readers.is_empty()) {
                return;
            }
            self.line.pop_front();
            if writes {
                self.writer = Some(first);
            } else {
                self.readers.push(first);
            }
        }
    }

    fn has(&self, me: usize) -> bool {
        self.writer == Some(me) || self.readers.contains(&me)
    }

    /// It gives back what it has, or leaves the line.
    fn leave(&mut self, me: usize) {
        self.line.retain(|(other, _)| *other != me);
        self.readers.retain(|other| *other != me);
        self.writer = self.writer.filter(|writer| *writer != me);
        self.serve();
    }
}

struct Bench {
    lock: RwLock<[u32; 2]>,
    belief: Mutex<Belief>,
}

impl Bench {
    fn believe<R>(&self, f: impl FnOnce(&mut Belief) -> R) -> R {
        f(&mut self.belief.lock().expect("no holder panics"))
    }

    /// Waits for a guard, looks, and gives it back. Returns whether it had one.
    fn hold<G>(
        &self,
        me: usize,
        writes: bool,
        get: impl Fn(u64) -> Option<G>,
        look: impl Fn(&mut G),
    ) -> bool {
        let deadline = some_deadline();
        self.believe(|belief| {
            belief.line.push_back((me, writes));
            belief.serve();
        });
        let guard = until(deadline, || get(deadline), Option::is_none);
        note(|| format!("{} writes, {writes}: {}", current_name(), guard.is_some()));
        let is_right = self.believe(|belief| belief.has(me) == guard.is_some());
        assert!(!is_alone() || is_right, "whose turn it was");
        let Some(mut guard) = guard else {
            self.believe(|belief| belief.leave(me));
            return false;
        };
        look(&mut guard);
        self.believe(|belief| belief.leave(me));
        drop(guard);
        true
    }
}

pub(super) fn play(stage: &mut Stage) {
    let bench = Arc::new(Bench {
        lock: RwLock::new([0; 2]),
        belief: Mutex::default(),
    });
    for me in 0..2 + choose(MOST_FIBERS - 1) {
        let bench = bench.clone();
        let rounds = 1 + choose(4);
        stage.fiber("of the lock", move || {
            let lock = &bench.lock;
            for _ in 0..rounds {
                if choose(2) == 1 {
                    let get = |deadline| match deadline {
                        NEVER => Some(lock.write()),
                        _ => lock.write_until(deadline).ok(),
                    };
                    let _has = bench.hold(me, true, get, |guard| {
                        guard[0] += 1;
                        point();
                        guard[1] += 1;
                    });
                } else {
                    let get = |deadline| match deadline {
                        NEVER => Some(lock.read()),
                        _ => lock.read_until(deadline).ok(),
                    };
                    let _has = bench.hold(me, false, get, |guard| {
                        let before = guard[0];
                        point();
                        assert_eq!(**guard, [before; 2], "somebody writes");
                    });
                }
                point();
            }
        });
    }
    stage.end(move || {
        let mut bench = Arc::into_inner(bench).expect("all have ended");
        let [first, second] = *bench.lock.get_mut();
        assert_eq!(first, second);
    });
}
