//! What decides a schedule: every choice is a number drawn from the seed and the choice's own index.
//!
//! A choice that is *calm* is zero whatever the seed says: no interrupt, no yield, the simplest operation. A failing schedule
//! is made small by calming as many of its choices as it can lose.

use core::fmt::Write as _;
use core::ops::Range;
use std::sync::{Mutex, MutexGuard};

/// From one state of the generator to the next.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// `SplitMix64`, of which any number can be had at once.
const fn mixed(seed: u64, index: u64) -> u64 {
    let mut z = seed.wrapping_add(index.wrapping_add(1).wrapping_mul(STEP));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The seed of the `index`th schedule from `start`.
pub(crate) const fn seed_at(start: u64, index: u64) -> u64 {
    mixed(start, index)
}

/// Where to start for the schedules from the `index`th of `start` on.
pub(crate) const fn start_at(start: u64, index: u64) -> u64 {
    start.wrapping_add(index.wrapping_mul(STEP))
}

/// How it is decided when something comes in between.
#[derive(Clone, Debug)]
enum Style {
    /// At every point with the same chance, one in so many.
    Walk {
        yields: u64,
        interrupts: u64,
        cores: u64,
    },
    /// At a few points chosen beforehand; else the fibers run by their priorities, all different. (Burckhardt, Kothari,
    /// Musuvathi, Nagarakatte: "A randomized scheduler with probabilistic guarantees of finding bugs", ASPLOS 2010.)
    Depth {
        demotions: Vec<u64>,
        interrupts: Vec<u64>,
        cores: Vec<u64>,
    },
}

/// What comes in between.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Intrusion {
    /// The others of the same priority run.
    Yield,
    /// Everybody else runs, until nobody can.
    Demotion,
    /// A device's handler.
    Interrupt,
    /// Another core goes on.
    Core,
}

struct Dice {
    seed: u64,
    drawn: usize,
    /// How often it was asked whether something comes in between.
    points: u64,
    /// How often that was another core.
    steps: u64,
    calm: Vec<Range<usize>>,
    style: Style,
    /// What happened, for who replays one schedule.
    trace: Option<String>,
}

static DICE: Mutex<Dice> = Mutex::new(Dice {
    seed: 0,
    drawn: 0,
    points: 0,
    steps: 0,
    calm: Vec::new(),
    style: Style::Walk {
        yields: 2,
        interrupts: 2,
        cores: 2,
    },
    trace: None,
});

fn dice() -> MutexGuard<'static, Dice> {
    DICE.lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Begins a schedule.
pub(crate) fn begin(seed: u64, calm: Vec<Range<usize>>, is_traced: bool) {
    // The style is no choice: it has numbers of its own, far from those of the choices.
    let mut number = u64::MAX / 2;
    let mut below = |end: u64| {
        number += 1;
        mixed(seed, number) % end
    };
    let style = if below(2) == 0 {
        Style::Walk {
            yields: 2 << below(5),
            interrupts: 2 << below(5),
            cores: 4 << below(7),
        }
    } else {
        let points = 32 << below(5);
        Style::Depth {
            demotions: (0..3 + below(3)).map(|_| below(points)).collect(),
            interrupts: (0..below(12)).map(|_| below(points)).collect(),
            cores: (0..below(24)).map(|_| below(16 * points)).collect(),
        }
    };
    *dice() = Dice {
        seed,
        drawn: 0,
        points: 0,
        steps: 0,
        calm,
        style,
        trace: is_traced.then(String::new),
    };
}

/// Whether all fibers are to have different priorities.
pub(crate) fn is_by_depth() -> bool {
    matches!(dice().style, Style::Depth { .. })
}

/// A number below `end`.
pub(crate) fn choose(end: usize) -> usize {
    dice().choose(end)
}

/// Whether something comes in between here.
pub(crate) fn comes(intrusion: Intrusion) -> bool {
    dice().comes(intrusion)
}

/// How many choices were made.
pub(crate) fn drawn() -> usize {
    dice().drawn
}

/// How many points there were.
pub(crate) fn points() -> u64 {
    dice().points
}

pub(crate) fn seed() -> u64 {
    dice().seed
}

/// Remembers what happened, if somebody wants to know.
pub(crate) fn note(words: impl FnOnce() -> String) {
    let is_traced = dice().trace.is_some();
    if is_traced {
        let words = crate::baton::keep(words);
        let mut dice = dice();
        let drawn = dice.drawn;
        if let Some(trace) = &mut dice.trace {
            writeln!(trace, "  {drawn:5}  {words}").expect("a string grows");
        }
    }
}

/// What happened since the beginning; empty if nobody wanted to know.
pub(crate) fn trace() -> String {
    dice().trace.clone().unwrap_or_default()
}

impl Dice {
    fn choose(&mut self, end: usize) -> usize {
        let index = self.drawn;
        self.drawn += 1;
        if self.calm.iter().any(|calm| calm.contains(&index)) {
            return 0;
        }
        usize::try_from(mixed(self.seed, index as u64) % end as u64).expect("below a usize")
    }

    fn one_in(&mut self, many: u64) -> bool {
        let end = usize::try_from(many).expect("small");
        self.choose(end) == end - 1
    }

    fn comes(&mut self, intrusion: Intrusion) -> bool {
        if intrusion == Intrusion::Core {
            self.steps += 1;
        } else {
            self.points += 1;
        }
        match (&self.style, intrusion) {
            (&Style::Walk { yields, .. }, Intrusion::Yield) => self.one_in(yields),
            (&Style::Walk { yields, .. }, Intrusion::Demotion) => self.one_in(16 * yields),
            (&Style::Walk { interrupts, .. }, Intrusion::Interrupt) => self.one_in(interrupts),
            (&Style::Walk { cores, .. }, Intrusion::Core) => self.one_in(cores),
            (Style::Depth { .. }, Intrusion::Yield) => self.one_in(64),
            (Style::Depth { demotions, .. }, Intrusion::Demotion) => {
                demotions.contains(&(self.points / 3)) && self.choose(2) == 1
            }
            (Style::Depth { interrupts, .. }, Intrusion::Interrupt) => {
                interrupts.contains(&(self.points / 3)) && self.choose(2) == 1
            }
            (Style::Depth { cores, .. }, Intrusion::Core) => {
                cores.contains(&self.steps) && self.choose(2) == 1
            }
        }
    }
}
