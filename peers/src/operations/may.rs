//! `may`: coroutines that its own worker threads schedule, of which there is one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use may::coroutine;
use may::sync::{Mutex, Semphore, mpsc};

use super::{Message, count, exchange};
use crate::bench::{Bench, Plan};

/// Calls a function with the number of laps in a coroutine. It returns the time.
struct InCoroutine(fn(usize) -> Duration);

impl Bench for InCoroutine {
    fn run(&mut self, laps: usize) -> Duration {
        let timed = self.0;
        start(move || timed(laps))
            .join()
            .expect("it does not panic")
    }

    fn finish(self: Box<Self>) {}
}

fn start<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> coroutine::JoinHandle<T> {
    // SAFETY: the stack is deep enough, and thread locals are not used.
    unsafe { coroutine::spawn(body) }
}

fn semaphore(laps: usize) -> Duration {
    let (there, back) = (Arc::new(Semphore::new(0)), Arc::new(Semphore::new(0)));
    let (requests, answers) = (Arc::clone(&there), Arc::clone(&back));
    let other = start(move || {
        for _ in 0..laps {
            requests.wait();
            answers.post();
        }
    });
    let time = count!(laps, |number| {
        there.post();
        back.wait();
        number += 1;
    });
    other.join().expect("it does not panic");
    time
}

fn message(laps: usize) -> Duration {
    let (requests, received) = mpsc::channel::<Message>();
    let (answer, answers) = mpsc::channel::<Message>();
    let other = start(move || {
        while let Ok((number, other)) = received.recv() {
            answer.send((number + 1, other)).expect("somebody receives");
        }
    });
    let time = exchange!(
        laps,
        |message| requests.send(message).expect("somebody receives"),
        answers.recv().expect("somebody sends")
    );
    drop(requests);
    other.join().expect("it does not panic");
    time
}

fn spawn_join(laps: usize) -> Duration {
    count!(laps, |number| {
        let before = number;
        let coroutine = start(move || before + 1);
        number = coroutine.join().expect("it does not panic");
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

/// One of two coroutines that yield in turn.
fn yields(laps: usize) -> Duration {
    let go = move || (0..laps.div_ceil(2)).for_each(|_| coroutine::yield_now());
    let other = start(go);
    coroutine::yield_now();
    let start = Instant::now();
    go();
    let time = start.elapsed();
    other.join().expect("it does not panic");
    time
}

/// All of them. The process is kept on one core.
pub(crate) fn plans() -> Vec<Plan> {
    may::config().set_workers(1).set_stack_size(0x2000);
    let plan = |shape, timed| Plan::new("may", shape, move || InCoroutine(timed));
    vec![
        plan("op_semaphore", semaphore as fn(usize) -> Duration),
        plan("op_message", message),
        plan("op_spawn_join", spawn_join),
        plan("op_mutex", mutex),
        plan("op_yield", yields),
    ]
}
