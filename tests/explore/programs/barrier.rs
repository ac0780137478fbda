//! Barriers: nobody goes on before all have come, and one of them leads.

use super::MOST_FIBERS;
use crate::dice::{choose, note};
use crate::machine::{point, some_deadline, until};
use crate::stage::Stage;
use core::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use kfiber::scheduler::current_name;
use kfiber::sync::Barrier;
use std::sync::Arc;

const MOST_ROUNDS: usize = 4;

struct Bench {
    barrier: Barrier,
    /// How many have come in each round, and how many led.
    come: [AtomicUsize; MOST_ROUNDS],
    led: [AtomicUsize; MOST_ROUNDS],
}

pub(super) fn play(stage: &mut Stage) {
    let needed = 1 + choose(MOST_FIBERS);
    let rounds = 1 + choose(MOST_ROUNDS);
    let bench = Arc::new(Bench {
        barrier: Barrier::new(needed),
        come: Default::default(),
        led: Default::default(),
    });
    for _ in 0..needed {
        let bench = bench.clone();
        stage.fiber("of the barrier", move || {
            for round in 0..rounds {
                bench.come[round].fetch_add(1, SeqCst);
                let turn = loop {
                    point();
                    let deadline = some_deadline();
                    let wait = || bench.barrier.wait_until(deadline).ok();
                    if let Some(turn) = until(deadline, wait, Option::is_none) {
                        break turn;
                    }
                };
                note(|| format!("{} passes {round}: {turn:?}", current_name()));
                assert_eq!(bench.come[round].load(SeqCst), needed, "not all have come");
                bench.led[round].fetch_add(turn.is_leader().into(), SeqCst);
            }
        });
    }
    stage.end(move || {
        for led in &bench.led[..rounds] {
            assert_eq!(led.load(SeqCst), 1, "how many led");
        }
    });
}
