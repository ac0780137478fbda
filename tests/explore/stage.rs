//! One schedule: the programs that play in it, their fibers and devices, and what must be true at the end.

use crate::dice::{self, choose, note};
use crate::machine::{self, BESIDE, MAIN, Machine, is_alone, point};
use crate::programs;
use core::ops::Range;
use core::sync::atomic::{AtomicBool, Ordering::SeqCst};
use kfiber::platform::Host;
use kfiber::scheduler::{self, FiberId, FiberPool, JoinHandle, Priority, Scheduler};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// How many fibers the programs of a schedule can have.
const CELLS: usize = 24;
static HOMES: FiberPool<65536, CELLS> = FiberPool::new();
static HOMES_BESIDE: FiberPool<65536, CELLS> = FiberPool::new();

/// What an interrupt or another core does. Says whether there was something left to do.
type Device = Arc<dyn Fn() -> bool + Send + Sync>;

/// A fiber that is to play.
struct Part {
    name: &'static str,
    /// Whether it bears being asked to end at any time.
    may_be_cancelled: bool,
    level: u8,
    is_beside: bool,
    body: Box<dyn FnOnce() + Send>,
}

/// What the programs of a schedule are made of.
#[derive(Default)]
pub(crate) struct Stage {
    parts: Vec<Part>,
    devices: Vec<Device>,
    ends: Vec<Box<dyn FnOnce() + Send>>,
    /// The only loop for the fibers that are made next, if they must have one.
    is_on_main: bool,
}

/// A fiber that plays.
struct Player {
    name: &'static str,
    /// The level that it was given.
    level: u8,
    may_be_cancelled: bool,
    handle: JoinHandle<()>,
}

static DEVICES: Mutex<Vec<Device>> = Mutex::new(Vec::new());
static PLAYERS: Mutex<Vec<Player>> = Mutex::new(Vec::new());

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stage {
    /// A fiber of a level of its own choice.
    pub(crate) fn fiber(&mut self, name: &'static str, body: impl FnOnce() + Send + 'static) {
        // Different ones first; if there are few, some are equal.
        let level = if dice::is_by_depth() {
            u8::try_from(31 - (7 * self.parts.len() + choose(32)) % 32).expect("below 32")
        } else {
            [16, 16, 16, 20, 8, 31][choose(6)]
        };
        self.fiber_at(level, name, body);
    }

    pub(crate) fn fiber_at(
        &mut self,
        level: u8,
        name: &'static str,
        body: impl FnOnce() + Send + 'static,
    ) {
        let is_beside = !is_alone() && !self.is_on_main && choose(2) == 1;
        self.parts.push(Part {
            name,
            may_be_cancelled: false,
            level,
            is_beside,
            body: Box::new(body),
        });
    }

    /// The last fiber may be asked to end at any time.
    pub(crate) fn that_may_be_cancelled(&mut self) {
        let last = self.parts.last_mut().expect("there is one");
        last.may_be_cancelled = true;
    }

    /// The fibers that are made next are all of one loop.
    pub(crate) const fn in_one_loop(&mut self, is_on_main: bool) {
        self.is_on_main = is_on_main;
    }

    pub(crate) fn device(&mut self, device: impl Fn() -> bool + Send + Sync + 'static) {
        self.devices.push(Arc::new(device));
    }

    /// What is looked at when all fibers have ended.
    pub(crate) fn end(&mut self, end: impl FnOnce() + Send + 'static) {
        self.ends.push(Box::new(end));
    }

    /// How many more fibers there may be.
    pub(crate) const fn room(&self) -> usize {
        CELLS - self.parts.len()
    }
}

/// One of the devices does something. Says whether any did.
pub(crate) fn some_device() -> bool {
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

/// Asks one of the fibers to end that bear it.
fn cancel_one() -> bool {
    let players = lock(&PLAYERS);
    if players.is_empty() {
        return false;
    }
    let player = &players[choose(players.len())];
    let does = player.may_be_cancelled && choose(2) == 1;
    if does {
        note(|| format!("{} is asked to end", player.name));
        player.handle.cancel();
    }
    // It never is what somebody waits for.
    false
}

pub(crate) fn names_of_those_that_have_not_ended() -> Vec<&'static str> {
    let players = lock(&PLAYERS);
    let players = players.iter().filter(|player| !player.handle.is_finished());
    players.map(|player| player.name).collect()
}

/// How schedules are played.
#[derive(Clone, Default)]
pub(crate) struct Way {
    /// Whether two loops and the devices run in threads of their own.
    pub(crate) has_threads: bool,
    /// The name of the only program.
    pub(crate) program: Option<String>,
    pub(crate) calm: Vec<Range<usize>>,
    /// Whether somebody wants to know what happens.
    pub(crate) is_traced: bool,
}

/// Plays one schedule.
pub(crate) fn play(seed: u64, way: &Way) {
    dice::begin(seed, way.calm.clone(), way.is_traced);
    machine::set_up(!way.has_threads, choose(3) == 1);
    let mut stage = Stage::default();
    programs::choose_some(way.program.as_deref(), &mut stage);
    let Stage {
        parts,
        mut devices,
        ends,
        ..
    } = stage;
    devices.push(Arc::new(cancel_one));
    *lock(&DEVICES) = devices;
    for part in parts {
        note(|| format!("{} of level {}", part.name, part.level));
        if part.is_beside {
            spawn(&BESIDE, &HOMES_BESIDE, part);
        } else if choose(3) == 2 {
            Host::interrupt(|| spawn(&MAIN, &HOMES, part));
        } else {
            spawn(&MAIN, &HOMES, part);
        }
    }
    if way.has_threads {
        run_in_threads();
    } else {
        MAIN.run();
    }
    for player in lock(&PLAYERS).drain(..) {
        let ended = player.handle.try_join();
        ended.unwrap_or_else(|_| panic!("{} has not ended", player.name));
    }
    lock(&DEVICES).clear();
    for end in ends {
        end();
    }
    assert_eq!(MAIN.fibers().count(), 0, "a fiber is left");
}

/// The level that a fiber was given, if it is a part of a program.
pub(crate) fn level_of(fiber: FiberId) -> Option<u8> {
    let players = lock(&PLAYERS);
    let player = players.iter().find(|player| player.handle.id() == fiber)?;
    Some(player.level)
}

fn spawn(
    scheduler: &'static Scheduler<Machine>,
    homes: &'static FiberPool<65536, CELLS>,
    part: Part,
) {
    let priority = Priority::new(part.level).expect("below 32");
    let builder = scheduler.builder().name(part.name).priority(priority);
    let body = part.body;
    let spawned = builder.spawn(homes, move || {
        point();
        body();
    });
    let handle = spawned.unwrap_or_else(|error| panic!("{:?}", error.kind));
    lock(&PLAYERS).push(Player {
        name: part.name,
        level: part.level,
        may_be_cancelled: part.may_be_cancelled,
        handle,
    });
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
