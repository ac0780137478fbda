//! The fibers that play in a schedule: what is known of each, and what others ask about them.

use crate::baton::{self, Mutex};
use crate::dice::{choose, note};
use crate::machine::{Machine, point};
use crate::stage::{CELLS, Part};
use core::sync::atomic::{AtomicBool, Ordering::SeqCst};
#[cfg(feature = "smp")]
use kfiber::platform::Core;
use kfiber::scheduler::{self, Builder, FiberId, FiberPool, JoinHandle, Priority, Scheduler};
use std::sync::{MutexGuard, PoisonError};

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

static PLAYERS: Mutex<Vec<Player>> = Mutex::new(Vec::new());

fn players() -> MutexGuard<'static, Vec<Player>> {
    PLAYERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Spawns a fiber, which plays a part from now on.
pub(crate) fn spawn<const CORES: usize>(
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
    players().push(Player {
        name: part.name,
        level: part.level,
        may_be_cancelled: part.may_be_cancelled,
        core: Mutex::new(core),
        yields: AtomicBool::new(false),
        handle,
    });
}

#[cfg(feature = "smp")]
pub(crate) fn pinned(builder: Builder, core: Option<usize>) -> Builder {
    match core {
        Some(core) => builder.on(Core(core)),
        None => builder,
    }
}

#[cfg(not(feature = "smp"))]
pub(crate) const fn pinned(builder: Builder, _core: Option<usize>) -> Builder {
    builder
}

/// Requires that all of them have ended. There is none afterwards.
pub(crate) fn have_ended() {
    for player in players().drain(..) {
        let ended = player.handle.try_join();
        ended.unwrap_or_else(|_| panic!("{} has not ended", player.name));
    }
}

/// Asks one of the fibers to end that bear it.
pub(crate) fn cancel_one() -> bool {
    let players = players();
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
    let players = players();
    let players = players.iter().filter(|player| !player.handle.is_finished());
    players.map(|player| player.name).collect()
}

/// Yields, which is on record meanwhile.
pub(crate) fn yield_on_record() {
    let record = |yields| {
        let (fiber, players) = (scheduler::current(), players());
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
    let players = players();
    let player = players.iter().find(|it| it.handle.id() == fiber);
    player.is_some_and(|player| player.yields.load(SeqCst))
}

/// The level that a fiber was given, if it is a part of a program.
pub(crate) fn level_of(fiber: FiberId) -> Option<u8> {
    let players = players();
    let player = players.iter().find(|player| player.handle.id() == fiber)?;
    Some(player.level)
}

/// Looks whether the running fiber is where it must be.
pub(crate) fn check_core() {
    if !baton::is_playing() {
        return;
    }
    let (fiber, here) = (scheduler::current(), baton::here());
    let players = players();
    let player = players.iter().find(|it| Some(it.handle.id()) == fiber);
    let Some(player) = player else {
        return;
    };
    let mut core = player.core.lock().unwrap_or_else(PoisonError::into_inner);
    if cfg!(not(kfiber_threads)) {
        core.get_or_insert(here);
    }
    assert!(
        core.is_none_or(|core| core == here),
        "{} is on core {here}, and belongs to {core:?}",
        player.name
    );
}
