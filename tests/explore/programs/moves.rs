//! Moving: a fiber that parks on one core after another misses no wake, wherever it is when the wake comes.

use crate::baton::{self, Mutex};
use crate::dice::{choose, note};
use crate::machine::{own, point};
use crate::stage::Stage;
use core::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use kfiber::platform::Core;
use kfiber::scheduler::{self, MoveError, Unparker};
use std::sync::Arc;

#[derive(Default)]
struct Bench {
    unparker: Mutex<Option<Unparker>>,
    work: AtomicUsize,
}

/// Looks whether the loop that runs the fiber is the one to which it belongs.
fn check_core() {
    let listed = own().expect("it runs").core;
    assert_eq!(Core(baton::here()), listed, "it is elsewhere");
}

fn move_on(cores: usize) {
    let to = choose(cores);
    let moved = scheduler::move_to(Core(to));
    note(|| format!("moves to core {to}: {moved:?}"));
    match moved {
        Ok(()) => check_core(),
        Err(error) => assert_eq!(error, MoveError::NotOnHost),
    }
}

pub(super) fn play(stage: &mut Stage) {
    let bench: Arc<Bench> = Arc::default();
    let cores = stage.cores();
    let wakers = 2 + choose(3);
    let wakes = 1 + choose(16);
    let waker = bench.clone();
    stage.fiber("who moves", move || {
        *bench.unparker.lock().expect("no holder panics") = scheduler::unparker();
        let mut left = wakers * wakes;
        loop {
            left -= bench.work.swap(0, SeqCst);
            if left == 0 {
                break;
            }
            if choose(4) != 0 {
                move_on(cores);
            }
            scheduler::park().expect("nobody asks it to end");
            check_core();
            point();
        }
    });
    stage.that_is_not_pinned();
    for _ in 0..wakers {
        let bench = waker.clone();
        stage.fiber("who wakes", move || {
            for _ in 0..wakes {
                point();
                bench.work.fetch_add(1, SeqCst);
                let unparker = *bench.unparker.lock().expect("no holder panics");
                if let Some(unparker) = unparker {
                    unparker.unpark();
                }
            }
        });
    }
}
