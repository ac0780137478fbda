//! How many laps a sample takes, and whether it was long enough to be one.
//!
//! A sample must be long beside the clock's own cost and resolution. A calibration can be wrong: a page fault, or a
//! hypervisor that runs somebody else, makes a few laps look as long as a whole sample. Each sample is therefore held
//! against the wanted time as well.

use std::time::Duration;

/// Laps before each timed run, as a share of it.
const WARM_UP: usize = 4;
/// Runs of each number of laps while it is calibrated. The shortest of them counts.
const TRIES: usize = 5;
/// A sample has at least so many operations, each of which the clock's cost is divided by.
const LEAST_OPERATIONS: usize = 1000;
/// A sample that takes less than this share of the wanted time is discarded.
const SHORTEST: u32 = 4;

/// What takes the samples of one bench.
pub(crate) struct Sampling {
    wanted: Duration,
    laps: usize,
    /// As many, however long they take.
    least: usize,
}

/// One sample.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// Of one lap.
    pub(crate) nanoseconds: f64,
    /// Runs before it that were too short.
    pub(crate) discarded: u64,
}

impl Sampling {
    /// Finds how many laps take about the wanted time. `run` does so many laps and returns how long they took; a lap has
    /// so many operations.
    pub(crate) fn calibrate(
        wanted: Duration,
        operations: usize,
        mut run: impl FnMut(usize) -> Duration,
    ) -> Self {
        let least = LEAST_OPERATIONS.div_ceil(operations);
        let mut laps = 1;
        loop {
            let tries = (0..TRIES).map(|_| run(laps));
            let time = tries.min().expect("there are several tries");
            if is_long_enough(time, wanted) {
                return Self {
                    wanted,
                    laps: scaled(laps, time, wanted).max(least),
                    least,
                };
            }
            laps *= 2;
        }
    }

    /// Takes one sample, after a warm-up. A run that is too short is discarded: the calibration was wrong, and from then on
    /// there are more laps.
    pub(crate) fn sample(&mut self, mut run: impl FnMut(usize) -> Duration) -> Sample {
        let mut discarded = 0;
        loop {
            let laps = self.laps;
            run((laps / WARM_UP).max(1));
            let time = run(laps);
            if is_long_enough(time, self.wanted) {
                #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
                let nanoseconds = time.as_secs_f64() * 1e9 / laps as f64;
                return Sample {
                    nanoseconds,
                    discarded,
                };
            }
            discarded += 1;
            self.laps = scaled(laps, time, self.wanted).max(self.least);
        }
    }
}

fn is_long_enough(time: Duration, wanted: Duration) -> bool {
    time * SHORTEST >= wanted
}

/// How many laps take the wanted time, if `laps` took `time`.
fn scaled(laps: usize, time: Duration, wanted: Duration) -> usize {
    let scale = wanted.as_secs_f64() / time.as_secs_f64().max(1e-9);
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a positive number of laps, far below 2^52"
    )]
    let laps = (laps as f64 * scale) as usize;
    laps.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Duration = Duration::from_millis(2);
    /// What reading the clock twice costs.
    const CLOCK: u64 = 40;

    /// A processor on which a lap takes so many picoseconds, and the delays that its next runs meet, in nanoseconds.
    struct Machine {
        picoseconds: u64,
        delays: Vec<u64>,
    }

    impl Machine {
        fn new(picoseconds: u64, delays: &[u64]) -> Self {
            let mut delays = delays.to_vec();
            delays.reverse();
            Self {
                picoseconds,
                delays,
            }
        }

        fn run(&mut self, laps: usize) -> Duration {
            let delay = self.delays.pop().unwrap_or(0);
            Duration::from_nanos(laps as u64 * self.picoseconds / 1000 + CLOCK + delay)
        }
    }

    #[track_caller]
    fn is_about(value: f64, expected: f64) {
        assert!(
            (value / expected - 1.0).abs() < 0.001,
            "{value} is not about {expected}"
        );
    }

    /// The first sample of a machine, calibrated on it, and its laps.
    fn first_sample(machine: &mut Machine, operations: usize) -> (Sample, usize) {
        let mut sampling = Sampling::calibrate(WANTED, operations, |laps| machine.run(laps));
        let sample = sampling.sample(|laps| machine.run(laps));
        (sample, sampling.laps)
    }

    #[test]
    fn samples_of_a_machine_that_nothing_disturbs_are_long_enough_at_once() {
        let (sample, laps) = first_sample(&mut Machine::new(2600, &[]), 1);
        is_about(sample.nanoseconds, 2.6);
        assert_eq!(sample.discarded, 0);
        assert!((700_000..800_000).contains(&laps), "{laps} laps");
    }

    #[test]
    fn a_page_fault_in_the_first_lap_does_not_make_the_samples_short() {
        // Half of the wanted time.
        let (sample, _) = first_sample(&mut Machine::new(2600, &[1_000_000]), 1);
        is_about(sample.nanoseconds, 2.6);
        assert_eq!(sample.discarded, 0);
    }

    #[test]
    fn a_sample_that_is_too_short_is_discarded_and_taken_again_with_more_laps() {
        // Delays in all runs of the calibration.
        let (sample, laps) = first_sample(&mut Machine::new(2600, &[1_000_000; TRIES]), 1);
        is_about(sample.nanoseconds, 2.6);
        assert!(sample.discarded > 0);
        assert!((500_000..1_000_000).contains(&laps), "{laps} laps");
    }

    #[test]
    fn the_samples_after_a_discarded_one_are_long_enough_at_once() {
        let mut machine = Machine::new(2600, &[1_000_000; TRIES]);
        let mut sampling = Sampling::calibrate(WANTED, 1, |laps| machine.run(laps));
        sampling.sample(|laps| machine.run(laps));
        let sample = sampling.sample(|laps| machine.run(laps));
        assert_eq!(sample.discarded, 0);
        is_about(sample.nanoseconds, 2.6);
    }

    #[test]
    fn a_processor_that_was_slow_only_during_calibration_discards_its_short_samples() {
        let mut slow = Machine::new(26_000, &[]);
        let mut sampling = Sampling::calibrate(WANTED, 1, |laps| slow.run(laps));
        let mut fast = Machine::new(2600, &[]);
        let sample = sampling.sample(|laps| fast.run(laps));
        assert_eq!(sample.discarded, 1);
        is_about(sample.nanoseconds, 2.6);
    }

    #[test]
    fn a_sample_has_enough_operations_that_the_clock_does_not_count() {
        // A lap takes ten microseconds: two hundred would take the wanted time.
        let (_, laps) = first_sample(&mut Machine::new(10_000_000, &[]), 1);
        assert_eq!(laps, LEAST_OPERATIONS);
        // Of a ring a lap has many operations, and one is enough.
        let (_, laps) = first_sample(&mut Machine::new(3_000_000_000, &[]), 100_000);
        assert_eq!(laps, 1);
        let (_, laps) = first_sample(&mut Machine::new(3_000_000_000, &[]), 300);
        assert_eq!(laps, 4);
    }
}
