//! What the figures are to reach, and whether they do. docs/performance.md says which do.

use std::fmt;

use super::names::REFERENCE;
use super::samples::{Figure, Samples};

/// One figure and its limit.
#[derive(Debug)]
struct Aim {
    what: &'static str,
    of: (&'static str, &'static str),
    relative_to: (&'static str, &'static str),
    at_most: f64,
}

const fn aim(
    what: &'static str,
    shape: &'static str,
    relative_to: (&'static str, &'static str),
    at_most: f64,
) -> Aim {
    Aim {
        what,
        of: ("kfiber", shape),
        relative_to,
        at_most,
    }
}

/// The contract of Boost.Context, relative to it.
const fn like_boost(what: &'static str, shape: &'static str) -> Aim {
    Aim {
        what,
        of: ("kfiber-fp", shape),
        relative_to: ("boost", shape),
        at_most: 0.75,
    }
}

const AIMS: [Aim; 14] = [
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
        self.figure
            .is_none_or(|figure| figure.median <= self.aim.at_most)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match (self.figure, self.is_reached()) {
            (None, _) => "not measured",
            (_, true) => "reached",
            (_, false) => "missed",
        };
        let at_most = self.aim.at_most;
        write!(f, "{word:12} {}: at most {at_most:.2}", self.aim.what)?;
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
        figure: samples.ratio(aim.of, aim.relative_to),
    };
    AIMS.iter().map(verdict).collect()
}
