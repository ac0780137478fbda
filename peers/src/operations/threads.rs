//! Threads of the system, all of them on one core.

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use super::count;
use crate::affinity;
use crate::bench::{Bench, Plan};
use crate::cores::ping_pong;
use crate::cores::work::Thought;

struct Timed(fn(usize) -> Duration);

impl Bench for Timed {
    fn run(&mut self, laps: usize) -> Duration {
        (self.0)(laps)
    }

    fn finish(self: Box<Self>) {}
}

fn spawn_join(laps: usize) -> Duration {
    count!(laps, |number| {
        let before = number;
        let thread = thread::spawn(move || before + 1);
        number = thread.join().expect("it does not panic");
    })
}

fn mutex(laps: usize) -> Duration {
    let mutex = Mutex::new(0);
    let time = count!(laps, |number| {
        *mutex.lock().expect("nobody panics") += 1;
        number += 1;
    });
    assert_eq!(mutex.into_inner().ok(), Some(laps), "a turn was lost");
    time
}

/// One of two threads that yield in turn.
fn yields(laps: usize) -> Duration {
    let go = move || (0..laps.div_ceil(2)).for_each(|_| thread::yield_now());
    let other = thread::spawn(go);
    thread::yield_now();
    let start = Instant::now();
    go();
    let time = start.elapsed();
    other.join().expect("it does not panic");
    time
}

/// All of them. The process is kept on one core.
pub(crate) fn plans() -> Vec<Plan> {
    let core = *affinity::allowed_cores().last().expect("we run on one");
    let plan = |shape, timed| Plan::new("threads", shape, move || Timed(timed));
    vec![
        Plan::new("threads", "op_semaphore", move || {
            ping_pong::Threads::new(core, 0, Thought::NONE)
        }),
        Plan::new("crossbeam", "op_message", move || {
            ping_pong::Crossbeam::new(core)
        }),
        plan("op_spawn_join", spawn_join as fn(usize) -> Duration),
        plan("op_mutex", mutex),
        plan("op_yield", yields),
    ]
}
