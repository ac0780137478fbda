//! Parking: no token is lost, and none comes from nowhere.

use super::MOST_FIBERS;
use crate::baton::Mutex;
use crate::dice::{choose, note};
use crate::machine::{is_alone, point, some_deadline, until};
use crate::stage::Stage;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use kfiber::scheduler::{self, Unparker, WaitError, current_name};
use std::sync::Arc;

/// A fiber that has something to do, and is told by its token alone.
#[derive(Default)]
struct Worker {
    unparker: Mutex<Option<Unparker>>,
    /// What it has yet to do.
    work: AtomicUsize,
    /// What will yet be given to it.
    kept: AtomicUsize,
    /// Whether it has a token, where nothing else runs at the same time.
    has_token: AtomicBool,
}

impl Worker {
    fn give(&self) -> bool {
        let Some(unparker) = *self.unparker.lock().expect("no holder panics") else {
            return false;
        };
        if self.kept.load(SeqCst) == 0 {
            return false;
        }
        self.kept.fetch_sub(1, SeqCst);
        self.work.fetch_add(1, SeqCst);
        self.has_token.store(true, SeqCst);
        unparker.unpark();
        true
    }

    fn do_all(&self, mut left: usize) {
        *self.unparker.lock().expect("no holder panics") = scheduler::unparker();
        loop {
            point();
            left -= self.work.swap(0, SeqCst);
            point();
            if left == 0 {
                break;
            }
            let deadline = some_deadline();
            let parked = until(
                deadline,
                || {
                    let parked = scheduler::park_until(deadline);
                    if parked.is_ok() {
                        let had_token = self.has_token.swap(false, SeqCst);
                        assert!(!is_alone() || had_token, "a token from nowhere");
                    }
                    parked
                },
                |parked| *parked == Err(WaitError::TimedOut),
            );
            note(|| format!("{} parked: {parked:?}", current_name()));
            assert_ne!(parked, Err(WaitError::Cancelled), "nobody asked for it");
        }
    }
}

pub(super) fn play(stage: &mut Stage) {
    let workers: Arc<Vec<Worker>> = Arc::new(
        (0..1 + choose(MOST_FIBERS))
            .map(|_| Worker::default())
            .collect(),
    );
    for number in 0..workers.len() {
        let work = 1 + choose(5);
        workers[number].kept.store(work, SeqCst);
        let others = workers.clone();
        stage.fiber("who parks", move || {
            others[number].do_all(work);
        });
    }
    stage.device(move || {
        let first = choose(workers.len());
        let mut order = workers.iter().cycle().skip(first).take(workers.len());
        order.any(Worker::give)
    });
}
