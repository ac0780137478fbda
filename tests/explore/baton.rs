//! Several cores, of which one goes on at a time. Which one, the dice say wherever the scheduler accesses a word that cores
//! share, so that a schedule of several cores can be played again.

use crate::dice::{Intrusion, choose, comes, note};
use crate::machine::MAIN;
use core::sync::atomic::{AtomicBool, Ordering::SeqCst};
use kfiber::platform::{NEVER, Nanoseconds, Platform as _};
use std::sync::{Condvar, LockResult, Mutex as StdMutex, MutexGuard, PoisonError, TryLockError};
use std::thread;

/// How many cores the scheduler has; a schedule is played by some of them.
pub(crate) const CORES: usize = 4;
/// After so many steps another core goes on in any case.
const LONGEST_TURN: u64 = 4096;
/// Longer than a schedule lasts.
const EPOCH: Nanoseconds = 1 << 20;
/// More steps than any schedule has that comes to an end.
const MOST_STEPS: u64 = 3_000_000;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Doing {
    /// It does not play, or has come to its end.
    Nothing,
    Runs,
    Sleeps,
}

#[derive(Clone, Copy)]
struct Player {
    doing: Doing,
    /// Whether it was kicked since it last slept.
    is_kicked: bool,
    timer: Nanoseconds,
}

struct Game {
    /// Who has the baton.
    current: usize,
    players: [Player; CORES],
    steps: u64,
}

static GAME: StdMutex<Game> = StdMutex::new(Game {
    current: 0,
    players: [Player {
        doing: Doing::Nothing,
        is_kicked: false,
        timer: NEVER,
    }; CORES],
    steps: 0,
});
static TURNS: [Condvar; CORES] = [const { Condvar::new() }; CORES];
static IS_PLAYING: AtomicBool = AtomicBool::new(false);
/// Whether no other core may go on.
static IS_KEPT: AtomicBool = AtomicBool::new(false);

fn game() -> MutexGuard<'static, Game> {
    GAME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the cores of this schedule pass a baton.
pub(crate) fn is_playing() -> bool {
    IS_PLAYING.load(SeqCst)
}

/// The core that has the baton, and so is the caller's.
pub(crate) fn here() -> usize {
    game().current
}

/// Runs the scheduler on so many cores until no fiber is left.
pub(crate) fn play(cores: usize) {
    {
        let mut game = game();
        game.steps = 0;
        game.current = choose(cores);
        for player in &mut game.players[..cores] {
            *player = Player {
                doing: Doing::Runs,
                is_kicked: false,
                timer: NEVER,
            };
        }
    }
    IS_PLAYING.store(true, SeqCst);
    thread::scope(|threads| {
        for core in 0..cores {
            threads.spawn(move || {
                drop(game().until_it_is_the_turn_of(core));
                MAIN.run();
                leave();
            });
        }
    });
    IS_PLAYING.store(false, SeqCst);
}

/// Calls a function during which no other core goes on.
pub(crate) fn keep<R>(f: impl FnOnce() -> R) -> R {
    let before = IS_KEPT.swap(true, SeqCst);
    let result = f();
    IS_KEPT.store(before, SeqCst);
    result
}

/// Whether nothing comes in between.
pub(crate) fn is_kept() -> bool {
    IS_KEPT.load(SeqCst)
}

/// Ends the sleep of the caller's core, which a handler has interrupted.
pub(crate) fn interrupt() {
    if is_playing() {
        kick(here());
    }
}

/// Lets each core run while there are no fibers, so that nothing is left of what was played before: a timer, a question for
/// work.
pub(crate) fn settle() {
    // The same time for all but for a multiple of this.
    let host = MAIN.platform().host();
    host.advance(EPOCH - host.now() % EPOCH);
    IS_PLAYING.store(true, SeqCst);
    keep(|| {
        for core in 0..CORES {
            game().current = core;
            MAIN.run();
        }
    });
    IS_PLAYING.store(false, SeqCst);
}

/// Called by the scheduler wherever it accesses a word that cores share, or spins until another core has changed it.
pub(crate) fn step(is_spinning: bool) {
    if !is_playing() || IS_KEPT.load(SeqCst) {
        return;
    }
    let mut game = game();
    game.steps += 1;
    assert!(
        game.steps < MOST_STEPS,
        "the cores go on and on, and nothing comes of it"
    );
    // A fiber that asks again and again until another core has done something is no mistake.
    let is_fair = !game.steps.is_multiple_of(LONGEST_TURN);
    if is_spinning || !is_fair || comes(Intrusion::Core) {
        let me = game.current;
        let others = game.able_ones(Some(me));
        if !others.is_empty() {
            let next = others[choose(others.len())];
            game.pass(next);
            drop(game.until_it_is_the_turn_of(me));
        }
    }
}

/// Sleeps until the core of the caller is kicked or its deadline has passed. If all sleep, something happens to one of them.
pub(crate) fn sleep(mut happens: impl FnMut() -> bool) {
    let mut game = game();
    let me = game.current;
    loop {
        game.players[me].doing = Doing::Sleeps;
        if game.is_able(me) {
            break;
        }
        let able_ones = game.able_ones(None);
        if !able_ones.is_empty() {
            let next = able_ones[choose(able_ones.len())];
            game.pass(next);
            game = game.until_it_is_the_turn_of(me);
            continue;
        }
        let timers = game.players.iter();
        let sleepers = timers.filter(|player| player.doing == Doing::Sleeps);
        let next = sleepers.map(|player| player.timer).min().unwrap_or(NEVER);
        if next == NEVER || choose(3) != 0 {
            game.players[me].doing = Doing::Runs;
            drop(game);
            let has_come = happens();
            game = self::game();
            if has_come {
                break; // an interrupt ends the sleep of its core
            }
            game.players[me].doing = Doing::Sleeps;
            if next == NEVER && game.able_ones(None).is_empty() {
                drop(game);
                let fibers = keep(crate::players::names_of_those_that_have_not_ended);
                panic!("fibers wait for ever: {fibers:?}");
            }
        }
        if next != NEVER {
            let now = MAIN.platform().host().now();
            MAIN.platform().host().advance(next.saturating_sub(now));
        }
    }
    game.players[me].doing = Doing::Runs;
    game.players[me].is_kicked = false;
}

pub(crate) fn kick(core: usize) {
    game().players[core].is_kicked = true;
}

pub(crate) fn set_timer(deadline: Nanoseconds) {
    let mut game = game();
    let me = game.current;
    game.players[me].timer = deadline;
}

/// Whether the timer of the caller's core is due.
pub(crate) fn is_timer_due() -> bool {
    let game = game();
    game.players[game.current].timer <= MAIN.platform().host().now()
}

/// The core of the caller has returned from `run`.
fn leave() {
    let mut game = game();
    let me = game.current;
    game.players[me].doing = Doing::Nothing;
    note(|| format!("core {me} returns"));
    let mut others = game.able_ones(None);
    if others.is_empty() {
        // One of those that sleep finds out that they wait for ever.
        others = game.those_that(|player| player.doing == Doing::Sleeps);
    }
    if !others.is_empty() {
        let next = others[choose(others.len())];
        game.pass(next);
    }
}

impl Game {
    fn those_that(&self, are_wanted: impl Fn(&Player) -> bool) -> Vec<usize> {
        let all = 0..CORES;
        all.filter(|core| are_wanted(&self.players[*core]))
            .collect()
    }

    /// Those that run, or have a reason to wake, but for one.
    fn able_ones(&self, but: Option<usize>) -> Vec<usize> {
        let all = 0..CORES;
        all.filter(|core| Some(*core) != but && self.is_able(*core))
            .collect()
    }

    fn is_able(&self, core: usize) -> bool {
        let player = &self.players[core];
        match player.doing {
            Doing::Nothing => false,
            Doing::Runs => true,
            Doing::Sleeps => player.is_kicked || player.timer <= MAIN.platform().host().now(),
        }
    }

    fn pass(&mut self, to: usize) {
        self.current = to;
        TURNS[to].notify_all();
    }
}

/// Waits for the baton.
trait Turn: Sized {
    fn until_it_is_the_turn_of(self, core: usize) -> Self;
}

impl Turn for MutexGuard<'static, Game> {
    fn until_it_is_the_turn_of(self, core: usize) -> Self {
        let is_another = |game: &mut Game| game.current != core;
        TURNS[core]
            .wait_while(self, is_another)
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A mutex of a test, whose holder may pass the baton.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(StdMutex<T>);

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(StdMutex::new(value))
    }

    pub(crate) fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        while is_playing() {
            match self.0.try_lock() {
                Ok(guard) => return Ok(guard),
                Err(TryLockError::Poisoned(error)) => return Err(error),
                Err(TryLockError::WouldBlock) => step(true),
            }
        }
        self.0.lock()
    }
}
