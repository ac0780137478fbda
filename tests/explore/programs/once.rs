//! Values that are made once, however many want them at the same time.

use super::MOST_FIBERS;
use crate::dice::choose;
use crate::machine::{point, some_deadline, until_loosely};
use crate::stage::Stage;
use core::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use kfiber::scheduler::WaitError;
use kfiber::sync::Once;
use std::sync::Arc;

struct Bench {
    once: Once<usize>,
    makers: AtomicUsize,
}

pub(super) fn play(stage: &mut Stage) {
    let bench = Arc::new(Bench {
        once: Once::new(),
        makers: AtomicUsize::new(0),
    });
    for _ in 0..2 + choose(MOST_FIBERS - 1) {
        let bench = bench.clone();
        stage.fiber("of the once", move || {
            let make = || {
                point();
                let before = bench.makers.fetch_add(1, SeqCst);
                point();
                before + 5
            };
            point();
            let value = loop {
                let deadline = some_deadline();
                let mut made = None;
                let waited = until_loosely(deadline, || {
                    let called = bench.once.call_once_until(deadline, make);
                    made = called.as_ref().ok().copied();
                    called.map(|_| ()).map_err(|error| error.error)
                });
                assert_ne!(waited, Err(WaitError::Cancelled), "is not heeded here");
                if let Some(made) = made {
                    break made;
                }
            };
            assert_eq!(*value, 5, "made more than once");
            point();
        });
        stage.that_may_be_cancelled();
    }
    stage.end(move || assert_eq!(bench.once.get(), Some(&5)));
}
