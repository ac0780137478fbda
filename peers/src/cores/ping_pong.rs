//! A word goes from one core to the other and back.
//!
//! The main thread, which is kept on the first core, drives all but kfiber's and tokio's, whose own threads are there.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use kfiber_with_smp::platform::Core;
use kfiber_with_smp::scheduler::FiberCell;
use kfiber_with_smp::sync::{Channel, Semaphore};

use super::crew::{Crew, STACK_BYTES};
use super::work::Thought;
use crate::affinity;
use crate::bench::Bench;
use crate::contender::STOP;
use crate::operations::{Message, exchange};

/// What one pair of fibers of kfiber needs.
struct Place {
    cell: FiberCell<STACK_BYTES>,
    there: Semaphore,
    back: Semaphore,
    requests: Channel<Message, 1>,
    answers: Channel<Message, 1>,
}

impl Place {
    fn new() -> &'static Self {
        Box::leak(Box::new(Self {
            cell: FiberCell::new(),
            there: Semaphore::new(0),
            back: Semaphore::new(0),
            requests: Channel::new(),
            answers: Channel::new(),
        }))
    }
}

/// Two fibers of kfiber, each pinned to its core, and two semaphores.
pub(crate) struct Semaphores(&'static Crew, &'static Place, Thought);

impl Semaphores {
    pub(crate) fn new(crew: &'static Crew, thought: Thought) -> Self {
        Self(crew, Place::new(), thought)
    }
}

impl Bench for Semaphores {
    fn run(&mut self, laps: usize) -> Duration {
        let (scheduler, place, thought) = (self.0.scheduler(), self.1, self.2);
        self.0.call(move || {
            let answer = move || {
                for _ in 0..=laps {
                    place.there.acquire().expect("nobody cancels it");
                    thought.think();
                    place.back.release(1).expect("there is room");
                }
            };
            let other = scheduler.builder().on(Core(1)).spawn(&place.cell, answer);
            let go = |laps| {
                for _ in 0..laps {
                    thought.think();
                    place.there.release(1).expect("there is room");
                    place.back.acquire().expect("nobody cancels it");
                }
            };
            go(1);
            let start = Instant::now();
            go(laps);
            let time = start.elapsed();
            let other = other.expect("a free cell").join();
            other.expect("it does not fail");
            assert_eq!(place.back.available(), 0, "a permit was made up");
            thought.taken_from(time, laps)
        })
    }

    fn finish(self: Box<Self>) {}
}

/// Two fibers of kfiber, each pinned to its core, and two channels.
pub(crate) struct Channels(&'static Crew, &'static Place);

impl Channels {
    pub(crate) fn new(crew: &'static Crew) -> Self {
        Self(crew, Place::new())
    }
}

impl Bench for Channels {
    fn run(&mut self, laps: usize) -> Duration {
        let (scheduler, place) = (self.0.scheduler(), self.1);
        self.0.call(move || {
            let answer = move || {
                for _ in 0..=laps {
                    let (number, other) = place.requests.recv().expect("it is open");
                    let answer = place.answers.send((number + 1, other));
                    answer.expect("it is open");
                }
            };
            let other = scheduler.builder().on(Core(1)).spawn(&place.cell, answer);
            let go = |laps| {
                exchange!(
                    laps,
                    |message| place.requests.send(message).expect("it is open"),
                    place.answers.recv().expect("it is open")
                )
            };
            go(1);
            let time = go(laps);
            let other = other.expect("a free cell").join();
            other.expect("it does not fail");
            time
        })
    }

    fn finish(self: Box<Self>) {}
}

/// Two threads and a word. Each looks at it so many times before it parks.
pub(crate) struct Threads {
    word: Arc<AtomicUsize>,
    other: JoinHandle<()>,
    looks: u32,
    thought: Thought,
}

fn wait_for(word: &AtomicUsize, parity: usize, looks: u32) -> usize {
    loop {
        for _ in 0..=looks {
            let now = word.load(Ordering::Acquire);
            if now % 2 == parity || now == STOP {
                return now;
            }
            core::hint::spin_loop();
        }
        thread::park();
    }
}

fn answer(word: &AtomicUsize, other: &Thread, looks: u32, thought: Thought) {
    loop {
        let now = wait_for(word, 0, looks);
        if now == STOP {
            return;
        }
        thought.think();
        word.store(now + 1, Ordering::Release);
        other.unpark();
    }
}

impl Threads {
    pub(crate) fn new(core: usize, looks: u32, thought: Thought) -> Self {
        let word = Arc::new(AtomicUsize::new(1));
        let (theirs, us) = (Arc::clone(&word), thread::current());
        let other = thread::spawn(move || {
            affinity::stay_on(core);
            answer(&theirs, &us, looks, thought);
        });
        Self {
            word,
            other,
            looks,
            thought,
        }
    }
}

impl Bench for Threads {
    fn run(&mut self, laps: usize) -> Duration {
        let start = Instant::now();
        for number in 0..laps {
            self.thought.think();
            self.word.store(number * 2, Ordering::Release);
            self.other.thread().unpark();
            let answer = wait_for(&self.word, 1, self.looks);
            assert_eq!(answer, number * 2 + 1, "a word was lost: threads");
        }
        self.thought.taken_from(start.elapsed(), laps)
    }

    fn finish(self: Box<Self>) {
        self.word.store(STOP, Ordering::Release);
        self.other.thread().unpark();
        self.other.join().expect("it does not panic");
    }
}

/// Two threads and two channels of a library, which have the same words in `crossbeam-channel` and in `flume`.
macro_rules! thread_channels {
    ($name:ident, $library:ident, $what:literal) => {
        #[doc = $what]
        pub(crate) struct $name {
            requests: $library::Sender<Message>,
            answers: $library::Receiver<Message>,
        }

        impl $name {
            pub(crate) fn new(core: usize) -> Self {
                let (requests, received) = $library::bounded::<Message>(1);
                let (answer, answers) = $library::bounded(1);
                thread::spawn(move || {
                    affinity::stay_on(core);
                    while let Ok((number, other)) = received.recv() {
                        answer.send((number + 1, other)).expect("somebody receives");
                    }
                });
                Self { requests, answers }
            }
        }

        impl Bench for $name {
            fn run(&mut self, laps: usize) -> Duration {
                exchange!(
                    laps,
                    |message| self.requests.send(message).expect("somebody receives"),
                    self.answers.recv().expect("somebody sends")
                )
            }

            fn finish(self: Box<Self>) {}
        }
    };
}

thread_channels!(
    Crossbeam,
    crossbeam_channel,
    "Two threads and channels of `crossbeam`."
);
thread_channels!(Flume, flume, "Two threads and channels of `flume`.");
