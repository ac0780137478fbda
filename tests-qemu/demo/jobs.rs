//! Fibers that work together: `spawn NAME` starts one of these, `kill NAME` asks it to end.

use crate::scheduler::SCHEDULER;
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;
use kfiber::scheduler::{self, FiberPool, JoinHandle, SpawnErrorKind, WaitError};
use kfiber::sync::{Channel, Mutex};
use kfiber::trace::Label;

/// A job: its name, what it does, and how many fibers do it.
pub(crate) struct Job {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    fibers: &'static [(&'static str, Body)],
}

/// What a fiber does, until it is told that it is cancelled.
type Body = fn() -> Result<(), WaitError>;

/// All jobs.
pub(crate) const JOBS: [Job; 3] = [
    Job {
        name: "pipeline",
        help: "a producer and a consumer over a channel of four",
        fibers: &[("producer", producer), ("consumer", consumer)],
    },
    Job {
        name: "philosophers",
        help: "five of them, with a fork between each two",
        fibers: &[
            ("Aristotle", || philosopher(0)),
            ("Hypatia", || philosopher(1)),
            ("Zhuangzi", || philosopher(2)),
            ("Avicenna", || philosopher(3)),
            ("Gargi", || philosopher(4)),
        ],
    },
    Job {
        name: "spinner",
        help: "yields as fast as it can",
        fibers: &[("spinner", spinner)],
    },
];

const STACK_BYTES: usize = 16 * 1024;
const MOST: usize = 16;

static CELLS: FiberPool<STACK_BYTES, MOST> = FiberPool::new();

/// The fibers that were started, by name.
static RUNNING: Mutex<[Option<Started>; MOST]> = Mutex::new([const { None }; MOST]);

type Started = (&'static str, JoinHandle<Result<(), WaitError>>);

impl Job {
    /// Starts the job's fibers.
    pub(crate) fn start(&self) -> Result<(), SpawnErrorKind> {
        let mut running = RUNNING.lock();
        for &(name, body) in self.fibers {
            // Those that have ended make room.
            for slot in running.iter_mut() {
                if slot
                    .as_ref()
                    .is_some_and(|(_, handle)| handle.is_finished())
                {
                    *slot = None;
                }
            }
            let handle = SCHEDULER
                .builder()
                .name(name)
                .spawn(&CELLS, body)
                .map_err(|error| error.kind)?;
            let slot = running.iter_mut().find(|slot| slot.is_none());
            *slot.expect("as many slots as cells") = Some((name, handle));
        }
        Ok(())
    }
}

/// Asks all fibers of this name to end, waits until they have, and returns how many there were.
pub(crate) fn kill(name: &str) -> usize {
    let mut count = 0;
    for slot in RUNNING.lock().iter_mut() {
        if slot
            .as_ref()
            .is_some_and(|(of, handle)| *of == name && !handle.is_finished())
        {
            let (_, handle) = slot.take().expect("looked at above");
            handle.cancel();
            // Each of them waits for something sooner or later, and then is told.
            let ended = handle.join().expect("the shell is not cancelled");
            count += usize::from(ended == Err(WaitError::Cancelled));
        }
    }
    count
}

/// Everything that was started: names for `kill`.
pub(crate) fn running() -> impl Iterator<Item = &'static str> {
    JOBS.iter()
        .flat_map(|job| job.fibers)
        .map(|&(name, _)| name)
}

/// What a trace shows of a number that has come through, of a meal, and of one that was eaten up. Without a
/// recorder it is nothing.
static NUMBER: Label = Label::new("number");
static MEAL: Label = Label::new("meal");
static EATEN: Label = Label::new("eaten");

static NUMBERS: Channel<u32, 4> = Channel::new();
/// How many numbers have come through.
pub(crate) static CONSUMED: AtomicU32 = AtomicU32::new(0);

fn producer() -> Result<(), WaitError> {
    for number in 0.. {
        // Waits while the channel is full.
        if NUMBERS.send(number).is_err() {
            return Err(WaitError::Cancelled);
        }
        scheduler::sleep(Duration::from_millis(10))?;
    }
    Ok(())
}

fn consumer() -> Result<(), WaitError> {
    loop {
        // Waits while the channel is empty.
        let Ok(number) = NUMBERS.recv() else {
            return Err(WaitError::Cancelled);
        };
        NUMBER.mark(number.into());
        CONSUMED.fetch_add(1, Ordering::Relaxed);
    }
}

static FORKS: [Mutex<()>; 5] = [const { Mutex::new(()) }; 5];
/// How often each of them ate.
pub(crate) static MEALS: [AtomicU32; 5] = [const { AtomicU32::new(0) }; 5];

fn philosopher(seat: usize) -> Result<(), WaitError> {
    // The fork with the lower number first: so there is no cycle of those who wait for each other.
    let (left, right) = (seat, (seat + 1) % FORKS.len());
    let (first, second) = (left.min(right), left.max(right));
    loop {
        let first = FORKS[first].lock();
        let second = FORKS[second].lock();
        let meal = MEAL.span();
        scheduler::sleep(Duration::from_millis(20))?;
        drop(meal);
        EATEN.mark(seat as u64);
        MEALS[seat].fetch_add(1, Ordering::Relaxed);
        drop((first, second));
        scheduler::sleep(Duration::from_millis(10))?; // thinks
    }
}

fn spinner() -> Result<(), WaitError> {
    loop {
        scheduler::yield_now();
        scheduler::check_cancelled()?;
    }
}
