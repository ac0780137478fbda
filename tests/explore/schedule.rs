//! One schedule: programs are chosen, their fibers and devices play, and what must be true at the end is looked at.

use crate::baton::{self, Mutex};
use crate::dice::{self, choose, note};
use crate::machine::{self, BESIDE, MAIN};
use crate::players::{self, names_of_those_that_have_not_ended, pinned, spawn};
use crate::programs;
use crate::stage::{CELLS, Device, Stage};
use core::ops::Range;
use core::sync::atomic::{AtomicBool, Ordering::SeqCst};
use kfiber::platform::Host;
use kfiber::scheduler::{self, FiberPool};
use kfiber::stack::StackMemory as _;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::thread;

static HOMES: FiberPool<65536, CELLS> = FiberPool::new();
static HOMES_BESIDE: FiberPool<65536, CELLS> = FiberPool::new();
static DEVICES: Mutex<Vec<Device>> = Mutex::new(Vec::new());

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How schedules are played.
#[derive(Clone, Default)]
pub(crate) struct Way {
    /// Whether two loops and the devices run in threads of their own.
    pub(crate) has_threads: bool,
    /// Whether several cores play, one at a time.
    pub(crate) has_cores: bool,
    /// The name of the only program.
    pub(crate) program: Option<String>,
    pub(crate) calm: Vec<Range<usize>>,
    /// Whether somebody wants to know what happens.
    pub(crate) is_traced: bool,
}

/// Plays one schedule.
pub(crate) fn play(seed: u64, way: &Way) {
    dice::begin(seed, way.calm.clone(), way.is_traced);
    machine::set_up(!way.has_threads && !way.has_cores, choose(3) == 1);
    let cores = if way.has_cores { 2 + choose(3) } else { 1 };
    if way.has_cores {
        baton::keep(|| {
            set_in_order(&HOMES);
            programs::set_cells_in_order();
        });
        baton::settle();
    }
    let mut stage = Stage::of(cores);
    programs::choose_some(way.program.as_deref(), &mut stage);
    let Stage {
        parts,
        mut devices,
        ends,
        ..
    } = stage;
    devices.push(Arc::new(players::cancel_one));
    *lock(&DEVICES) = devices;
    for part in parts {
        note(|| format!("{} of level {}", part.name, part.level));
        let on = (way.has_cores && part.may_be_pinned && choose(3) == 2).then(|| choose(cores));
        if part.is_beside && !way.has_cores {
            spawn(&BESIDE, &HOMES_BESIDE, part, None);
        } else if choose(3) == 2 {
            Host::interrupt(|| spawn(&MAIN, &HOMES, part, on));
        } else {
            spawn(&MAIN, &HOMES, part, on);
        }
    }
    if way.has_threads {
        run_in_threads();
    } else if way.has_cores {
        baton::play(cores);
    } else {
        MAIN.run();
    }
    players::have_ended();
    lock(&DEVICES).clear();
    for end in ends {
        end();
    }
    assert_eq!(MAIN.fibers().count(), 0, "a fiber is left");
}

/// Brings the cells of a pool into the order that they have in every schedule, whatever was played before: all of them have
/// had a fiber, on the same core, and the first one is the next to be taken.
pub(crate) fn set_in_order<const COUNT: usize>(pool: &'static FiberPool<65536, COUNT>) {
    let last = (&raw const pool.stacks()[COUNT - 1]).addr();
    while pool.take().expect("all are free").bounds().bottom().addr() < last {}
    for _ in 0..COUNT {
        let builder = pinned(MAIN.builder(), Some(0));
        let spawned = builder.spawn(pool, || {}).map_err(|error| error.kind);
        spawned.expect("all are free").detach();
    }
    MAIN.run();
}

/// Both loops and the devices, each in a thread. Neither loop ends before all players have ended, for a fiber of one may
/// wait for one of the other.
fn run_in_threads() {
    static ARE_ALL_DONE: AtomicBool = AtomicBool::new(false);
    static KEEPERS: FiberPool<65536, 1> = FiberPool::new();
    static KEEPERS_BESIDE: FiberPool<65536, 1> = FiberPool::new();
    fn keep() {
        while !ARE_ALL_DONE.load(SeqCst) {
            scheduler::park().expect("nobody asks it to end");
        }
    }
    ARE_ALL_DONE.store(false, SeqCst);
    let spawned = [
        MAIN.spawn(&KEEPERS, keep),
        BESIDE.spawn(&KEEPERS_BESIDE, keep),
    ];
    let keepers = spawned.map(|spawned| spawned.map_err(|error| error.kind));
    let keepers = keepers.map(|keeper| keeper.expect("the cell is free"));
    thread::scope(|scope| {
        scope.spawn(|| BESIDE.run());
        scope.spawn(|| {
            while !names_of_those_that_have_not_ended().is_empty() {
                if !some_device() {
                    thread::yield_now();
                }
            }
            ARE_ALL_DONE.store(true, SeqCst);
            for keeper in keepers {
                keeper.unparker().unpark();
            }
        });
        MAIN.run();
    });
    // What a device made at the very end.
    MAIN.run();
}

/// One of the devices does something. Says whether any did.
pub(crate) fn some_device() -> bool {
    /// A device does one thing at a time, whichever core handles it.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = lock(&TURN);
    let devices = lock(&DEVICES).clone();
    let first = choose(devices.len());
    (0..devices.len()).any(|index| {
        let number = (first + index) % devices.len();
        let does = devices[number]();
        if does {
            note(|| format!("device {number} does something"));
        }
        does
    })
}
