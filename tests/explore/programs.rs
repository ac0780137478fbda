//! What is played: a few fibers and devices around each thing that fibers wait for, and what must be true of it.

use crate::dice::{choose, note};
use crate::schedule::set_in_order;
use crate::stage::Stage;

mod barrier;
mod broken;
mod channel;
mod condvar;
mod event;
mod futures;
mod joins;
#[cfg(feature = "smp")]
mod moves;
mod mutex;
mod once;
mod park;
mod rw_lock;
mod scope;
mod semaphore;
mod sleep;
mod wait_queue;

/// A program adds its fibers to the stage.
type Program = fn(&mut Stage);

const ALL: &[(&str, Program)] = &[
    ("barrier", barrier::play),
    ("channel of 0", channel::play::<0>),
    ("channel of 1", channel::play::<1>),
    ("channel of 3", channel::play::<3>),
    ("condvar", condvar::play),
    ("event", event::play),
    ("futures", futures::play),
    ("joins", joins::play),
    ("mutex", mutex::play),
    ("once", once::play),
    ("park", park::play),
    ("rw_lock", rw_lock::play),
    ("scope", scope::play),
    ("semaphore", semaphore::play),
    ("sleep", sleep::play),
    ("wait_queue", wait_queue::play),
];

/// What is played on several cores only.
#[cfg(feature = "smp")]
const FOR_CORES: &[(&str, Program)] = &[("moves", moves::play)];
#[cfg(not(feature = "smp"))]
const FOR_CORES: &[(&str, Program)] = &[];

/// Most that a program adds.
pub(crate) const MOST_FIBERS: usize = 6;

/// Brings the cells of the programs into the order that they have in every schedule.
pub(crate) fn set_cells_in_order() {
    set_in_order(joins::homes());
    set_in_order(scope::homes());
}

/// Puts one to three of them on the stage, at the same time, or only the one of this name.
pub(crate) fn choose_some(only: Option<&str>, stage: &mut Stage) {
    if let Some(name) = only {
        let broken = ("broken", broken::play as Program);
        let mut all = ALL.iter().chain(FOR_CORES).chain([&broken]);
        let found = all.find(|(of, _)| *of == name);
        let (_, program) = found.expect("KFIBER_PROGRAM names a program");
        return program(stage);
    }
    for _ in 0..=choose(3) {
        if stage.room() < MOST_FIBERS {
            break;
        }
        let several = if stage.cores() > 1 { FOR_CORES } else { &[] };
        let number = choose(ALL.len() + several.len());
        let (name, program) = ALL
            .iter()
            .chain(several)
            .nth(number)
            .expect("it is one of them");
        note(|| format!("program: {name}"));
        program(stage);
    }
}
