//! One schedule: the programs that play in it, their fibers and devices, and what must be true at the end.

use crate::baton;
use crate::baton::Mutex;
use crate::dice::{self, choose, note};
use crate::machine::{self, BESIDE, MAIN, Machine, is_alone, point};
use crate::programs;
use core::ops::Range;
use core::sync::atomic::{AtomicBool, Ordering::SeqCst};
#[cfg(feature = "smp")]
use kfiber::platform::Core;
use kfiber::platform::Host;
use kfiber::scheduler::{self, Builder, FiberId, FiberPool, JoinHandle, Priority, Scheduler};
use kfiber::stack::StackMemory as _;
use std::sync::{Arc, MutexGuard, PoisonError};
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
    may_be_pinned: bool,
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
    /// How many cores play, or 0 or 1.
    cores: usize,
}

/// A fiber that plays.
struct Player {
    name: &'static str,
    /// The level that it was given.
    level: u8,
    may_be_cancelled: bool,
    /// The core on which it stays: from the beginning if it is pinned, and on a host from its first step on.
    core: Mutex<Option<usize>>,
    /// Whether it yields, so that it is ready for certain.
    yields: AtomicBool,
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
            may_be_pinned: true,
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

    /// The last fiber moves of its own will.
    #[cfg(feature = "smp")]
    pub(crate) fn that_is_not_pinned(&mut self) {
        let last = self.parts.last_mut().expect("there is one");
        last.may_be_pinned = false;
    }

    /// How many cores play.
    pub(crate) const fn cores(&self) -> usize {
        self.cores
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
        baton::interrupt();
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
    let mut stage = Stage {
        cores,
        ..Stage::default()
    };
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

#[cfg(feature = "smp")]
fn pinned(builder: Builder, core: Option<usize>) -> Builder {
    match core {
        Some(core) => builder.on(Core(core)),
        None => builder,
    }
}

#[cfg(not(feature = "smp"))]
const fn pinned(builder: Builder, _core: Option<usize>) -> Builder {
    builder
}

/// Yields, which is on record meanwhile.
pub(crate) fn yield_on_record() {
    let record = |yields| {
        let (fiber, players) = (scheduler::current(), lock(&PLAYERS));
        let player = players.iter().find(|it| Some(it.handle.id()) == fiber);
        if let Some(player) = player {
            player.yields.store(yields, SeqCst);
        }
    };
    record(true);
    scheduler::yield_now();
    record(false);
}

/// Whether a fiber yields.
pub(crate) fn does_yield(fiber: FiberId) -> bool {
    let players = lock(&PLAYERS);
    let player = players.iter().find(|it| it.handle.id() == fiber);
    player.is_some_and(|player| player.yields.load(SeqCst))
}

/// The level that a fiber was given, if it is a part of a program.
pub(crate) fn level_of(fiber: FiberId) -> Option<u8> {
    let players = lock(&PLAYERS);
    let player = players.iter().find(|player| player.handle.id() == fiber)?;
    Some(player.level)
}

/// Looks whether the running fiber is where it must be.
pub(crate) fn check_core() {
    if !baton::is_playing() {
        return;
    }
    let (fiber, here) = (scheduler::current(), baton::here());
    let players = lock(&PLAYERS);
    let player = players.iter().find(|it| Some(it.handle.id()) == fiber);
    let Some(player) = player else {
        return;
    };
    let mut core = lock(&player.core);
    if cfg!(not(kfiber_threads)) {
        core.get_or_insert(here);
    }
    assert!(
        core.is_none_or(|core| core == here),
        "{} is on core {here}, and belongs to {core:?}",
        player.name
    );
}

fn spawn<const CORES: usize>(
    scheduler: &'static Scheduler<Machine, CORES>,
    homes: &'static FiberPool<65536, CELLS>,
    part: Part,
    core: Option<usize>,
) {
    let priority = Priority::new(part.level).expect("below 32");
    let builder = scheduler.builder().name(part.name).priority(priority);
    let builder = pinned(builder, core);
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
        core: Mutex::new(core),
        yields: AtomicBool::new(false),
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
