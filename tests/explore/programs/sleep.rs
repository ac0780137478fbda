//! Sleeping: each wakes at its time, and those of one moment in the order in which they began.

use super::MOST_FIBERS;
use crate::baton::Mutex;
use crate::dice::{choose, note};
use crate::machine::{is_alone, own, point, until};
use crate::stage::Stage;
use core::time::Duration;
use kfiber::scheduler::{self, WaitError, current_name};
use std::sync::Arc;

#[derive(Default)]
struct Order {
    began: u64,
    /// Deadline and beginning of the last that woke.
    last: (u64, u64),
}

pub(super) fn play(stage: &mut Stage) {
    let order: Arc<Mutex<Order>> = Arc::default();
    stage.in_one_loop(true);
    let level = [16, 8, 31][choose(3)];
    let is_calm = choose(2) == 0;
    for _ in 0..2 + choose(MOST_FIBERS - 1) {
        let order = order.clone();
        let rounds = 1 + choose(5);
        stage.fiber_at(level, "who sleeps", move || {
            for _ in 0..rounds {
                let time = 1 + choose(if is_calm { 4 } else { 40 });
                let deadline = scheduler::after(Duration::from_nanos(time as u64));
                let mut began = 0;
                let sleep = || {
                    let mut order = order.lock().expect("no holder panics");
                    order.began += 1;
                    began = order.began;
                    drop(order);
                    // A sleep that is over before it begins is a yield; this one is nothing.
                    scheduler::park_until(deadline)
                };
                let switches = || own().map(|own| own.switches);
                let before = switches();
                let slept = until(deadline, sleep, |_| true);
                note(|| format!("{} slept until {deadline}", current_name()));
                assert_eq!(slept, Err(WaitError::TimedOut));
                if switches() == before {
                    continue;
                }
                let mut order = order.lock().expect("no holder panics");
                let woke = (deadline, began);
                // A point may put one of them behind others that woke later; without, they run as they wake.
                assert!(
                    !is_alone() || !is_calm || order.last < woke,
                    "woke at {woke:?} after {:?}",
                    order.last
                );
                order.last = woke;
                drop(order);
                if !is_calm {
                    point();
                }
            }
        });
    }
    stage.in_one_loop(false);
}
