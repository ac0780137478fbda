//! What the program `peers` printed, and the statistics of it.
//!
//! A ratio is taken of two samples of one repetition, which lie milliseconds apart: what disturbs the machine then disturbs
//! both. Its median over the repetitions is what a process says; the median of those, with the least and the greatest of
//! them, is what is published. The least and the greatest show what the places of code and stacks do.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};

/// Whose, and of what.
type Key = (String, String);

/// The samples of one process: nanoseconds by repetition.
#[derive(Debug, Default)]
struct Process {
    samples: BTreeMap<Key, BTreeMap<u64, f64>>,
    gigahertz: BTreeMap<u64, f64>,
    /// Runs that were too short to be a sample.
    discarded: u64,
    /// Sizes of things.
    bytes: BTreeMap<String, u64>,
}

/// The samples of all processes.
#[derive(Debug, Default)]
pub(super) struct Samples {
    processes: Vec<Process>,
}

/// A median of medians, and the range of these.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Figure {
    pub(super) median: f64,
    pub(super) least: f64,
    pub(super) greatest: f64,
}

impl Figure {
    fn of(values: Vec<f64>) -> Option<Self> {
        let least = values.iter().copied().reduce(f64::min)?;
        let greatest = values.iter().copied().reduce(f64::max)?;
        Some(Self {
            median: median(values)?,
            least,
            greatest,
        })
    }
}

/// The middle one; of an even number the mean of the two in the middle.
pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(values[middle - 1], upper))
}

impl Samples {
    /// Adds what a process printed. It is an error if that ends without the word that all was verified.
    pub(super) fn add_process(&mut self, printed: &str) -> Result<()> {
        let mut process = Process::default();
        let mut is_verified = false;
        for line in printed.lines() {
            let words: Vec<_> = line.split_ascii_whitespace().collect();
            match *words {
                ["sample", repetition, contender, shape, nanoseconds] => {
                    let key = (contender.to_owned(), shape.to_owned());
                    let repetition = repetition.parse().with_context(|| complaint(line))?;
                    let value = nanoseconds.parse::<f64>();
                    let value = value.ok().filter(|value| *value > 0.0);
                    let value = value.with_context(|| complaint(line))?;
                    process
                        .samples
                        .entry(key)
                        .or_default()
                        .insert(repetition, value);
                }
                ["clock", repetition, gigahertz] => {
                    let repetition = repetition.parse().with_context(|| complaint(line))?;
                    let gigahertz = gigahertz.parse().with_context(|| complaint(line))?;
                    process.gigahertz.insert(repetition, gigahertz);
                }
                ["discarded", _, _, _, runs] => {
                    process.discarded += runs.parse::<u64>().with_context(|| complaint(line))?;
                }
                ["bytes", what, bytes] => {
                    let bytes = bytes.parse().with_context(|| complaint(line))?;
                    process.bytes.insert(what.to_owned(), bytes);
                }
                ["verified"] => is_verified = true,
                _ => bail!(complaint(line)),
            }
        }
        ensure!(
            is_verified,
            "the program `peers` did not say that its contenders were right in the end"
        );
        self.processes.push(process);
        Ok(())
    }

    /// How many samples there are of everybody in all shapes.
    pub(super) fn count(&self) -> usize {
        let samples = self.processes.iter().flat_map(|it| it.samples.values());
        samples.map(BTreeMap::len).sum()
    }

    /// Runs that were too short to be a sample, and were made again with more laps.
    pub(super) fn discarded(&self) -> u64 {
        self.processes.iter().map(|it| it.discarded).sum()
    }

    /// The size of something, the largest of all processes.
    pub(super) fn bytes(&self, what: &str) -> Option<u64> {
        let sizes = self.processes.iter().filter_map(|it| it.bytes.get(what));
        sizes.copied().max()
    }

    /// One figure relative to another, taken in the same repetitions; nothing if there is no sample of either.
    pub(super) fn ratio(&self, one: (&str, &str), other: (&str, &str)) -> Option<Figure> {
        self.figure(one, |process, repetition| {
            process.sample(other)?.get(&repetition).copied()
        })
    }

    /// Nanoseconds of one operation.
    pub(super) fn nanoseconds(&self, of: (&str, &str)) -> Option<Figure> {
        self.figure(of, |_, _| Some(1.0))
    }

    /// Cycles of one operation, by the clock that was measured at the beginning of the repetition.
    pub(super) fn cycles(&self, of: (&str, &str)) -> Option<Figure> {
        self.figure(of, |process, repetition| {
            Some(1.0 / process.gigahertz.get(&repetition)?)
        })
    }

    /// The core's clock.
    pub(super) fn gigahertz(&self) -> Option<Figure> {
        let medians = self.processes.iter();
        let medians = medians.filter_map(|each| median(each.gigahertz.values().copied().collect()));
        Figure::of(medians.collect())
    }

    fn figure(
        &self,
        of: (&str, &str),
        relative_to: impl Fn(&Process, u64) -> Option<f64>,
    ) -> Option<Figure> {
        let of_process = |process: &Process| {
            let samples = process.sample(of)?;
            let values = samples
                .iter()
                .filter_map(|(repetition, value)| Some(value / relative_to(process, *repetition)?));
            median(values.collect())
        };
        Figure::of(self.processes.iter().filter_map(of_process).collect())
    }
}

impl Process {
    fn sample(&self, (contender, shape): (&str, &str)) -> Option<&BTreeMap<u64, f64>> {
        self.samples.get(&(contender.to_owned(), shape.to_owned()))
    }
}

fn complaint(line: &str) -> String {
    format!("the program `peers` printed `{line}`, which is no sample")
}
