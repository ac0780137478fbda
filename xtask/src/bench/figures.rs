//! What the kernel `bench` printed: readings of the counter, and whether the counter counts instructions at all.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};

/// Readings of one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    /// How many operations a region has.
    pub(super) operations: u64,
    /// Instructions of a region, those of the two readings left out.
    pub(super) net: u64,
    /// The same with them.
    pub(super) raw: u64,
}

impl Reading {
    /// Instructions of one operation.
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts of instructions are far below 2^52"
    )]
    pub(super) fn each(self) -> f64 {
        self.net as f64 / self.operations as f64
    }
}

/// Everything that a run printed.
#[derive(Debug)]
pub(super) struct Figures {
    readings: BTreeMap<String, Reading>,
    bytes: BTreeMap<String, u64>,
}

impl Figures {
    /// Reads them, and refuses those of a counter that counts something else, and those that vary.
    pub(super) fn parse(serial: &str) -> Result<Self> {
        let mut all = BTreeMap::new();
        let mut bytes = BTreeMap::new();
        for line in serial.lines() {
            let words: Vec<_> = line.split_ascii_whitespace().collect();
            match *words {
                ["figure", name, operations, min, max] => {
                    let numbers = [
                        number(operations, "operations=")?,
                        number(min, "min=")?,
                        number(max, "max=")?,
                    ];
                    all.insert(name.to_owned(), numbers);
                }
                ["bytes", name, count] => {
                    bytes.insert(name.to_owned(), number(count, "")?);
                }
                _ => {}
            }
        }
        let empty = test_the_counter(&all)?;
        let mut readings = BTreeMap::new();
        for (name, [operations, min, max]) in all {
            ensure!(
                min == max,
                "`{name}` took between {min} and {max} instructions, and straight code takes the same each time"
            );
            let net = min - empty;
            readings.insert(
                name,
                Reading {
                    operations,
                    net,
                    raw: min,
                },
            );
        }
        Ok(Self { readings, bytes })
    }

    /// The readings of an operation, which the kernel must have printed.
    pub(super) fn reading(&self, name: &str) -> Result<Reading> {
        let reading = self.readings.get(name).copied();
        reading.with_context(|| format!("the kernel `bench` printed no figure `{name}`"))
    }

    /// Adds the readings of another kernel.
    pub(super) fn add(&mut self, name: &str, reading: Reading) {
        self.readings.insert(name.to_owned(), reading);
    }

    /// A size that the kernel printed.
    pub(super) fn bytes(&self, name: &str) -> Result<u64> {
        let bytes = self.bytes.get(name).copied();
        bytes.with_context(|| format!("the kernel `bench` printed no size `{name}`"))
    }

    /// The names of all operations.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.readings.keys().map(String::as_str)
    }
}

/// Three regions of known length; returns what an empty one reads.
fn test_the_counter(all: &BTreeMap<String, [u64; 3]>) -> Result<u64> {
    let reads = |name: &str| match all.get(name) {
        Some([_, min, max]) => Ok((*min, *max)),
        None => bail!("the kernel `bench` did not test its counter: no figure `{name}`"),
    };
    let (empty, _) = reads("empty")?;
    for (name, length) in [("empty", 0), ("20_nops", 20), ("1000_times_20", 20_001)] {
        let (min, max) = reads(name)?;
        ensure!(
            (min, max) == (empty + length, empty + length),
            "wall ticks, not instructions: `{name}` read {min} to {max} instead of {}; was QEMU started with -icount shift=0,sleep=off?",
            empty + length
        );
    }
    Ok(empty)
}

fn number(word: &str, key: &str) -> Result<u64> {
    let digits = word.strip_prefix(key);
    let number = digits.and_then(|digits| digits.parse().ok());
    number.with_context(|| format!("`{word}` is not `{key}` and a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
figure empty operations=1 min=4 max=4
figure 20_nops operations=1 min=24 max=24
figure 1000_times_20 operations=1 min=20005 max=20005
figure yield_2 operations=2 min=81 max=81
";

    #[test]
    fn figures_are_net_of_the_readings_themselves() {
        let figures = Figures::parse(GOOD).expect("good figures");
        let reading = figures.reading("yield_2").expect("it is there");
        assert_eq!((reading.net, reading.each()), (77, 38.5));
    }

    #[test]
    fn ticks_of_another_clock_are_refused() {
        for (good, bad) in [
            ("min=24 max=24", "min=26 max=26"),
            ("min=20005 max=20005", "min=20005 max=20006"),
            ("min=4 max=4", "min=4 max=5"),
        ] {
            let error = Figures::parse(&GOOD.replace(good, bad)).expect_err("no instructions");
            let text = error.to_string();
            assert!(text.starts_with("wall ticks, not instructions"), "{text}");
        }
    }

    #[test]
    fn an_untested_counter_is_refused() {
        let text = GOOD.replace("20_nops", "nops");
        assert!(Figures::parse(&text).is_err());
    }

    #[test]
    fn a_spread_is_refused() {
        let error = Figures::parse(&GOOD.replace("max=81", "max=82")).expect_err("a spread");
        assert!(error.to_string().contains("between 81 and 82"), "{error}");
    }
}
