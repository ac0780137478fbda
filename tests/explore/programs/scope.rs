//! Scopes: what was borrowed is not touched once the scope has ended, and all of it was done.

use crate::dice::{choose, note};
use crate::machine::point;
use crate::stage::Stage;
use kfiber::scheduler::{self, FiberPool, Priority};

/// Enough for all scopes that there can be at the same time.
static HOMES: FiberPool<65536, 24> = FiberPool::new();

pub(super) const fn homes() -> &'static FiberPool<65536, 24> {
    &HOMES
}

pub(super) fn play(stage: &mut Stage) {
    stage.in_one_loop(true);
    for _ in 0..1 + choose(2) {
        let children = 1 + choose(4);
        stage.fiber("who makes a scope", move || {
            let mut marks = vec![0; children];
            for round in 1..=2 {
                scheduler::scope(|scope| {
                    let mut handles = Vec::new();
                    for mark in &mut marks {
                        let priority = Priority::new([16, 31, 3][choose(3)]).expect("below 32");
                        let child = move || {
                            point();
                            *mark += 1;
                            point();
                            round
                        };
                        let made = scope.spawn_as(&HOMES, "in a scope", priority, child);
                        let handle = made.expect("there is a free cell");
                        match choose(4) {
                            0 => handles.push(handle),
                            1 => handle.cancel(),
                            2 => assert_eq!(handle.join().ok(), Some(round)),
                            _ => handle.detach(),
                        }
                        point();
                    }
                    for handle in handles {
                        if choose(2) == 1 {
                            assert_eq!(handle.join().ok(), Some(round));
                        }
                    }
                });
                note(|| "a scope has ended".to_owned());
                assert!(marks.iter().all(|mark| *mark == round), "{marks:?}");
            }
        });
    }
    stage.in_one_loop(false);
}
