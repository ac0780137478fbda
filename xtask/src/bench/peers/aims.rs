//! What the figures are to reach, and whether they do. docs/performance.md says which do.

use std::fmt;

use super::names::{ON_ONE_CORE, REFERENCE};
use super::rounded::ranged;
use super::samples::{Figure, Samples};

/// What a figure is relative to.
#[derive(Debug)]
enum Basis {
    This(&'static str, &'static str),
    /// Whoever is fastest in the same shape, among those that it is measured beside.
    BestOf(&'static [(&'static str, &'static str)]),
}

/// A limit of a ratio.
#[derive(Clone, Copy, Debug)]
enum Limit {
    AtMost(f64),
    /// The ratio is turned round: how many times as fast.
    AtLeast(f64),
}

/// One figure and its limit.
#[derive(Debug)]
struct Aim {
    what: &'static str,
    of: (&'static str, &'static str),
    relative_to: Basis,
    limit: Limit,
}

const fn aim(
    what: &'static str,
    shape: &'static str,
    (contender, of): (&'static str, &'static str),
    at_most: f64,
) -> Aim {
    Aim {
        what,
        of: ("kfiber", shape),
        relative_to: Basis::This(contender, of),
        limit: Limit::AtMost(at_most),
    }
}

/// The contract of Boost.Context, relative to it.
const fn like_boost(what: &'static str, shape: &'static str) -> Aim {
    Aim {
        what,
        of: ("kfiber-fp", shape),
        relative_to: Basis::This("boost", shape),
        limit: Limit::AtMost(0.75),
    }
}

/// An operation on one core, relative to the best of the others.
const fn operation(what: &'static str, shape: &'static str, at_most: f64) -> Aim {
    Aim {
        what,
        of: ("kfiber", shape),
        relative_to: Basis::BestOf(&ON_ONE_CORE),
        limit: Limit::AtMost(at_most),
    }
}

/// Two cores, relative to one.
const fn speed_up(what: &'static str, shape: &'static str, at_least: f64) -> Aim {
    Aim {
        what,
        of: ("kfiber-smp", shape),
        relative_to: Basis::This("kfiber", shape),
        limit: Limit::AtLeast(at_least),
    }
}

/// Two cores, relative to somebody else's, or to another shape.
const fn on_two(
    what: &'static str,
    shape: &'static str,
    (contender, of): (&'static str, &'static str),
    at_most: f64,
) -> Aim {
    Aim {
        what,
        of: ("kfiber-smp", shape),
        relative_to: Basis::This(contender, of),
        limit: Limit::AtMost(at_most),
    }
}

const AIMS: [Aim; 26] = [
    aim("both inlined", "inlined", REFERENCE, 0.8),
    aim("yield 1 call deep", "yield_1_deep", REFERENCE, 1.2),
    aim("yield 3 calls deep", "yield_3_deep", REFERENCE, 1.6),
    aim("resume 1 call deep", "resume_1_deep", REFERENCE, 1.25),
    aim(
        "both 1 call deep, relative to corosensei's",
        "both_1_deep",
        ("corosensei", "both_1_deep"),
        1.0,
    ),
    aim(
        "creation, relative to corosensei's",
        "create",
        ("corosensei", "create"),
        0.9,
    ),
    aim("`yield_now`, 64 fibers", "yield_now_64", REFERENCE, 1.1),
    aim(
        "`yield_now`, 1,000 fibers",
        "yield_now_1000",
        REFERENCE,
        1.3,
    ),
    aim(
        "`yield_now`, 100,000 fibers",
        "yield_now_100000",
        REFERENCE,
        6.0,
    ),
    like_boost(
        "with the control words, both inlined, relative to Boost's",
        "inlined",
    ),
    like_boost("… yield 1 call deep", "yield_1_deep"),
    like_boost("… yield 3 calls deep", "yield_3_deep"),
    like_boost("… resume 1 call deep", "resume_1_deep"),
    like_boost("… creation", "create"),
    operation(
        "semaphore there and back, relative to the best peer",
        "op_semaphore",
        0.5,
    ),
    operation(
        "message there and back, relative to the best peer",
        "op_message",
        0.5,
    ),
    operation(
        "spawn to join, relative to the best peer",
        "op_spawn_join",
        0.5,
    ),
    operation("mutex alone, relative to the best peer", "op_mutex", 1.0),
    operation("yield of two, relative to the best peer", "op_yield", 0.5),
    speed_up(
        "independent fibers on two cores, times one core's work",
        "cores_independent",
        1.9,
    ),
    speed_up(
        "10,000 short jobs on two cores, times one core's work",
        "cores_jobs",
        1.8,
    ),
    on_two(
        "uneven fibers spawned on one core, relative to dealing them out by hand",
        "cores_uneven",
        ("kfiber-smp", "cores_by_hand"),
        1.15,
    ),
    on_two(
        "semaphore between cores, relative to threads that park",
        "cores_semaphore",
        ("threads", "cores_semaphore"),
        0.5,
    ),
    on_two(
        "… relative to tokio with a runtime on each core",
        "cores_semaphore",
        ("tokio-apart", "cores_semaphore"),
        1.0,
    ),
    on_two(
        "message between cores, relative to `crossbeam`",
        "cores_message",
        ("crossbeam", "cores_message"),
        1.0,
    ),
    on_two(
        "… relative to tokio with a runtime on each core",
        "cores_message",
        ("tokio-apart", "cores_message"),
        1.0,
    ),
];

/// An aim and what came of it.
#[derive(Debug)]
pub(super) struct Verdict {
    aim: &'static Aim,
    /// Nothing if there were no samples.
    pub(super) figure: Option<Figure>,
}

impl Verdict {
    /// What was not measured was not missed.
    pub(super) fn is_reached(&self) -> bool {
        self.figure.is_none_or(|figure| match self.aim.limit {
            Limit::AtMost(most) => figure.median <= most,
            Limit::AtLeast(least) => figure.median >= least,
        })
    }

    fn word(&self) -> &'static str {
        match (self.figure, self.is_reached()) {
            (None, _) => "not measured",
            (_, true) => "reached",
            (_, false) => "missed",
        }
    }

    /// Its row in the table of aims.
    pub(super) fn row(&self) -> String {
        let figure = self.figure.map_or_else(String::new, ranged);
        let (what, limit, word) = (self.aim.what, self.aim.limit, self.word());
        format!("| {what} | {limit} | {figure} | {word} |\n")
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(most) => write!(f, "at most {most:.2}"),
            Self::AtLeast(least) => write!(f, "at least {least:.2}"),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, limit) = (self.word(), self.aim.limit);
        write!(f, "{word:12} {}: {limit}", self.aim.what)?;
        if let Some(Figure { median, .. }) = self.figure {
            write!(f, ", and it is {median:.2}")?;
        }
        Ok(())
    }
}

/// All aims, held against the samples.
pub(super) fn verdicts(samples: &Samples) -> Vec<Verdict> {
    let verdict = |aim: &'static Aim| Verdict {
        aim,
        figure: figure(samples, aim),
    };
    AIMS.iter().map(verdict).collect()
}

fn figure(samples: &Samples, aim: &Aim) -> Option<Figure> {
    let basis = match aim.relative_to {
        Basis::This(contender, shape) => (contender, shape),
        Basis::BestOf(contenders) => {
            let others = contenders.iter().filter(|(key, _)| *key != aim.of.0);
            let timed = others.filter_map(|(key, _)| {
                let of = (*key, aim.of.1);
                Some((samples.nanoseconds(of)?.median, of))
            });
            timed.min_by(|one, other| one.0.total_cmp(&other.0))?.1
        }
    };
    match aim.limit {
        Limit::AtMost(_) => samples.ratio(aim.of, basis),
        Limit::AtLeast(_) => samples.ratio(basis, aim.of),
    }
}
