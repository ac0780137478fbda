//! How long each fiber ran, was ready and waited, and how soon it ran after it was woken.

use std::fmt::Write as _;

use super::timeline::{Fiber, State, Timeline};

/// The numbers of one fiber. Times are in nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statistics {
    /// Its name.
    pub name: String,
    /// How often it began to run.
    pub turns: u64,
    /// For how long it ran.
    pub run: u64,
    /// For how long it could have run.
    pub ready: u64,
    /// For how long it waited.
    pub wait: u64,
    /// The times from its wake-ups until it ran, in ascending order.
    pub latencies: Vec<u64>,
}

/// Computes the numbers of all fibers.
#[must_use]
pub fn all(timeline: &Timeline) -> Vec<Statistics> {
    let of = |(index, fiber): (usize, &Fiber)| {
        let sum = |does: fn(&State) -> bool| {
            let segments = fiber.segments.iter().filter(|segment| does(&segment.state));
            segments
                .map(|segment| segment.to.saturating_sub(segment.from))
                .sum()
        };
        let wakes = timeline.wakes.iter().filter(|wake| wake.fiber == index);
        let mut latencies: Vec<u64> = wakes
            .filter_map(|wake| wake.ran_at.map(|ran_at| ran_at.saturating_sub(wake.at)))
            .collect();
        latencies.sort_unstable();
        Statistics {
            name: fiber.name.clone(),
            turns: fiber.turns,
            run: sum(|state| matches!(state, State::Running(_))),
            ready: sum(|state| matches!(state, State::Ready)),
            wait: sum(|state| matches!(state, State::Waiting(_))),
            latencies,
        }
    };
    timeline.fibers.iter().enumerate().map(of).collect()
}

impl Statistics {
    /// Returns the time that this percentage of the wake-ups did not exceed.
    #[must_use]
    pub fn quantile(&self, percent: usize) -> Option<u64> {
        let rank = (self.latencies.len() * percent).div_ceil(100);
        self.latencies.get(rank.saturating_sub(1)).copied()
    }
}

/// Returns the numbers as a table.
#[must_use]
pub fn table(timeline: &Timeline) -> String {
    let mut text = format!(
        "{:<20} {:>7} {:>10} {:>10} {:>10}   {:>7} {:>10} {:>10} {:>10}\n",
        "fiber", "turns", "ran", "ready", "waited", "wakes", "median", "99 %", "worst"
    );
    for fiber in all(timeline) {
        let _ = write!(
            text,
            "{:<20} {:>7} {:>10} {:>10} {:>10}   {:>7}",
            fiber.name,
            fiber.turns,
            short(fiber.run),
            short(fiber.ready),
            short(fiber.wait),
            fiber.latencies.len(),
        );
        for percent in [50, 99, 100] {
            let time = fiber
                .quantile(percent)
                .map_or_else(|| "-".to_owned(), short);
            let _ = write!(text, " {time:>10}");
        }
        text.push('\n');
    }
    for (number, core) in timeline.cores.iter().enumerate() {
        if core.lost > 0 {
            let _ = writeln!(text, "core {number}: {} older events are lost", core.lost);
        }
    }
    text
}

/// Returns a time with a unit that fits.
#[must_use]
pub fn short(nanoseconds: u64) -> String {
    let (unit, divisor) = match nanoseconds {
        0..10_000 => return format!("{nanoseconds} ns"),
        10_000..10_000_000 => ("µs", 1000),
        10_000_000..10_000_000_000 => ("ms", 1_000_000),
        _ => ("s", 1_000_000_000),
    };
    format!("{} {unit}", nanoseconds / divisor)
}
