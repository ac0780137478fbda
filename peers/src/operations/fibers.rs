//! kfiber's scheduler on one core.

use std::time::{Duration, Instant};

use kfiber::platform::Host;
use kfiber::scheduler::{self, FiberCell, Scheduler};
use kfiber::sync::{Channel, Mutex, Semaphore};

use super::{Message, count, exchange};
use crate::bench::{Bench, Plan};

static SCHEDULER: Scheduler<Host> = Scheduler::new(Host::new());
static CELLS: [FiberCell<32768>; 2] = [const { FiberCell::new() }; 2];
static THERE: Semaphore = Semaphore::new(0);
static BACK: Semaphore = Semaphore::new(0);
static REQUESTS: Channel<Message, 1> = Channel::new();
static ANSWERS: Channel<Message, 1> = Channel::new();
static NUMBER: Mutex<usize> = Mutex::new(0);

/// Calls a function with the number of laps in a fiber. It returns the time.
struct InFiber(fn(usize) -> Duration);

impl Bench for InFiber {
    fn run(&mut self, laps: usize) -> Duration {
        let timed = self.0;
        let fiber = SCHEDULER.spawn(&CELLS[0], move || timed(laps));
        SCHEDULER.run();
        let time = fiber.expect("a free cell").try_join();
        time.expect("it does not fail")
    }

    fn finish(self: Box<Self>) {}
}

/// Runs `other` as a second fiber beside `timed`.
fn beside<T>(other: impl FnOnce() + Send + 'static, timed: impl FnOnce() -> T) -> T {
    let other = SCHEDULER.spawn(&CELLS[1], other).expect("a free cell");
    let result = timed();
    other.join().expect("it does not fail");
    result
}

fn semaphore(laps: usize) -> Duration {
    let other = move || {
        for _ in 0..laps {
            THERE.acquire().expect("nobody cancels it");
            BACK.release(1).expect("there is room");
        }
    };
    beside(other, || {
        count!(laps, |number| {
            THERE.release(1).expect("there is room");
            BACK.acquire().expect("nobody cancels it");
            number += 1;
        })
    })
}

fn message(laps: usize) -> Duration {
    let other = move || {
        for _ in 0..laps {
            let (number, other) = REQUESTS.recv().expect("it is open");
            ANSWERS.send((number + 1, other)).expect("it is open");
        }
    };
    beside(other, || {
        exchange!(
            laps,
            |message| REQUESTS.send(message).expect("it is open"),
            ANSWERS.recv().expect("it is open")
        )
    })
}

fn spawn_join(laps: usize) -> Duration {
    count!(laps, |number| {
        let before = number;
        let fiber = SCHEDULER.spawn(&CELLS[1], move || before + 1);
        number = fiber
            .expect("a free cell")
            .join()
            .expect("it does not fail");
    })
}

fn mutex(laps: usize) -> Duration {
    *NUMBER.lock() = 0;
    let time = count!(laps, |number| {
        *NUMBER.lock() += 1;
        number += 1;
    });
    assert_eq!(*NUMBER.lock(), laps, "a turn was lost");
    time
}

/// One of two fibers that yield in turn.
fn yields(laps: usize) -> Duration {
    let go = move || (0..laps.div_ceil(2)).for_each(|_| scheduler::yield_now());
    beside(go, || {
        scheduler::yield_now();
        let start = Instant::now();
        go();
        start.elapsed()
    })
}

/// All of them.
pub(crate) fn plans() -> Vec<Plan> {
    let plan = |shape, timed| Plan::new("kfiber", shape, move || InFiber(timed));
    vec![
        plan("op_semaphore", semaphore as fn(usize) -> Duration),
        plan("op_message", message),
        plan("op_spawn_join", spawn_join),
        plan("op_mutex", mutex),
        plan("op_yield", yields),
    ]
}
