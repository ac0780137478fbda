//! How long a fiber ran and waited, and how soon it ran after it was woken.

use crate::platform::Nanoseconds;
use crate::scheduler::FiberId;
use crate::trace::event::{Detail, Kind};
use crate::trace::merge::{Rings, Step};

/// What the recorded events say about a fiber. It covers only the events that were still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// For how long the fiber ran.
    pub run: Nanoseconds,
    /// For how long it was ready, and others ran.
    pub ready: Nanoseconds,
    /// For how long it waited until it was woken. If a wait ended before the fiber left its core,
    /// because the fiber was woken already, its next yield counts as a wait.
    pub wait: Nanoseconds,
    /// How often it began to run.
    pub turns: u32,
    /// The times from wake-ups until the fiber ran.
    pub latency: Latency,
}

/// The times from wake-ups until the fiber ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Latency {
    /// The number of wake-ups.
    pub count: u32,
    /// Half of the wake-ups took no longer. Rounded up, by less than an eighth.
    pub median: Nanoseconds,
    /// 99 of 100 wake-ups took no longer. Rounded up, by less than an eighth.
    pub p99: Nanoseconds,
    /// The longest time.
    pub worst: Nanoseconds,
}

/// What the fiber does, and since when.
#[derive(Clone, Copy)]
enum Does {
    Nothing,
    Runs(u64),
    /// It yielded.
    IsReady(u64),
    Waits(u64),
    WasWoken(u64),
}

/// Computes the statistics of a fiber. `scale` is a time in nanoseconds, and the same in ticks.
pub(super) fn of(rings: Rings, id: FiberId, scale: [u64; 2]) -> Statistics {
    let fiber = id.address().get() as u64;
    let generation = u64::from(id.generation);
    let mut sums = Sums::new();
    let mut does = Does::Nothing;
    let mut is_about_to_wait = false;
    let mut last = 0;
    for step in rings.steps() {
        last = step.event.time;
        if is_spawn_of(&step, fiber, generation) {
            // What was before concerns an earlier fiber of the cell.
            sums = Sums::new();
            does = Does::WasWoken(last);
        } else {
            does = sums.add(&step, fiber, does, &mut is_about_to_wait);
        }
    }
    // What it does now counts too.
    sums.leave(does, last);
    sums.result(scale)
}

fn is_spawn_of(step: &Step, fiber: u64, generation: u64) -> bool {
    step.event.kind == Kind::Spawn
        && step.event.subject == fiber
        && matches!(step.event.detail, Detail::Number(number) if number == generation)
}

/// The buckets of an octave.
const PARTS: u64 = 8;
/// The buckets of times up to 2^49 ticks.
const BUCKETS: usize = 46 * 8;

/// Sums in ticks.
struct Sums {
    run: u64,
    ready: u64,
    wait: u64,
    turns: u32,
    count: u32,
    worst: u64,
    buckets: [u32; BUCKETS],
}

impl Sums {
    const fn new() -> Self {
        Self {
            run: 0,
            ready: 0,
            wait: 0,
            turns: 0,
            count: 0,
            worst: 0,
            buckets: [0; BUCKETS],
        }
    }

    /// Adds the time of what the fiber did until now.
    const fn leave(&mut self, does: Does, now: u64) {
        match does {
            Does::Nothing => {}
            Does::Runs(since) => self.run += now.saturating_sub(since),
            Does::IsReady(since) | Does::WasWoken(since) => {
                self.ready += now.saturating_sub(since);
            }
            Does::Waits(since) => self.wait += now.saturating_sub(since),
        }
    }

    /// Adds an event, and returns what the fiber does after it.
    fn add(&mut self, step: &Step, fiber: u64, does: Does, is_about_to_wait: &mut bool) -> Does {
        let now = step.event.time;
        let is_subject = step.event.subject == fiber;
        let runs = step.running == fiber;
        let next = match step.event.kind {
            Kind::Switch if is_subject => {
                self.turns += 1;
                if let Does::WasWoken(since) = does {
                    self.add_latency(now.saturating_sub(since));
                }
                Does::Runs(now)
            }
            Kind::Switch if runs => match (does, core::mem::take(is_about_to_wait)) {
                // It was woken already, between the wait and the switch.
                (Does::WasWoken(_) | Does::Nothing, _) => return does,
                (_, true) => Does::Waits(now),
                (_, false) => Does::IsReady(now),
            },
            Kind::Wait if runs && step.interrupts == 0 => {
                *is_about_to_wait = true;
                return does;
            }
            // A wake-up of one that runs is a superfluous one, unless it is about to wait.
            Kind::Ready | Kind::Posted
                if is_subject && (*is_about_to_wait || !matches!(does, Does::Runs(_))) =>
            {
                Does::WasWoken(now)
            }
            Kind::End | Kind::Failure if is_subject => Does::Nothing,
            _ => return does,
        };
        self.leave(does, now);
        next
    }

    fn add_latency(&mut self, ticks: u64) {
        self.count += 1;
        self.worst = self.worst.max(ticks);
        self.buckets[bucket(ticks)] += 1;
    }

    fn result(&self, [nanoseconds, ticks]: [u64; 2]) -> Statistics {
        let scaled = |time: u64| {
            let scaled = u128::from(time) * u128::from(nanoseconds) / u128::from(ticks);
            Nanoseconds::try_from(scaled).unwrap_or(Nanoseconds::MAX)
        };
        let quantile = |percent: u64| {
            let wanted = (u64::from(self.count) * percent).div_ceil(100);
            let mut below = 0;
            for (index, &count) in self.buckets.iter().enumerate() {
                below += u64::from(count);
                if count > 0 && below >= wanted {
                    return scaled(longest_of(index).min(self.worst));
                }
            }
            0
        };
        Statistics {
            run: scaled(self.run),
            ready: scaled(self.ready),
            wait: scaled(self.wait),
            turns: self.turns,
            latency: Latency {
                count: self.count,
                median: quantile(50),
                p99: quantile(99),
                worst: scaled(self.worst),
            },
        }
    }
}

/// Returns the bucket of a time: its highest bit, and the three bits below.
fn bucket(time: u64) -> usize {
    let time = time.max(PARTS);
    let octave = u64::from(time.ilog2()) - 3;
    let part = (time >> octave) - PARTS;
    usize::try_from(octave * PARTS + part)
        .unwrap_or(BUCKETS)
        .min(BUCKETS - 1)
}

/// Returns the longest time of a bucket.
const fn longest_of(bucket: usize) -> u64 {
    let (octave, part) = (bucket as u64 / PARTS, bucket as u64 % PARTS);
    ((PARTS + part + 1) << octave) - 1
}
