//! Tests of the attempts on a machine that is played here: it runs for a while, stands still for
//! longer, and so on.

use super::{Attempts, Comparison, MOST, Outcome};

/// Ticks of the time-stamp counter in a second, and of the other one, which is a PIT.
const TSC_HZ: u64 = 1_000_000_000;
const PIT_HZ: u64 = 1_193_182;
const MS: u64 = TSC_HZ / 1000;
const BITS: u32 = 16;

/// A machine that runs for so many ticks and then stands still for so many, again and again.
struct Machine {
    now: u64,
    runs_for: u64,
    stands_for: u64,
    /// How long a reading takes.
    blur: u64,
}

impl Machine {
    /// Lets so many ticks pass of which the machine knows, and those during which it stands still.
    fn work(&mut self, ticks: u64) {
        let period = self.runs_for + self.stands_for;
        let into = self.now % period;
        if into + ticks >= self.runs_for {
            // It goes on when the next time has begun.
            self.now += period - into;
        } else {
            self.now += ticks;
        }
    }

    /// Compares for 25 ms, halved so often.
    fn attempt(&mut self, halvings: u32) -> Outcome {
        let start = self.now;
        while self.now - start < (25 * MS) >> halvings {
            self.work(MS / 20);
        }
        let ticks = self.now - start;
        let counted = ticks * PIT_HZ / TSC_HZ;
        let comparison = Comparison {
            ticks,
            counted: counted & 0xffff,
            blur: self.blur,
        };
        if counted >> BITS == 0 {
            Outcome::Compared(comparison)
        } else {
            Outcome::Wrapped(comparison)
        }
    }

    /// Returns the frequency that is found, and how many attempts it took.
    fn measure(mut self) -> (Option<u64>, u32) {
        let mut attempts = Attempts::new(BITS);
        let mut count = 0;
        while let Some(halvings) = attempts.next() {
            count += 1;
            let outcome = self.attempt(halvings);
            attempts.note(outcome);
        }
        let hz = attempts
            .best()
            .map(|best| best.ticks * PIT_HZ / best.counted);
        (hz, count)
    }
}

#[track_caller]
fn assert_right(hz: Option<u64>, most_wrong_ppm: u64) {
    let hz = hz.expect("it was measured");
    let wrong_by = hz.abs_diff(TSC_HZ);
    assert!(wrong_by <= TSC_HZ / 1_000_000 * most_wrong_ppm, "{hz} Hz");
}

#[test]
fn a_machine_that_runs_is_measured_once() {
    let machine = Machine {
        now: 0,
        runs_for: u64::MAX / 4,
        stands_for: 0,
        blur: 2000,
    };
    let (hz, count) = machine.measure();
    assert_right(hz, 100);
    assert_eq!(count, 1);
}

#[test]
fn a_machine_that_stands_still_for_longer_than_the_counter_counts_is_measured_in_between() {
    for (runs_for_ms, stands_for_ms) in [(20, 60), (10, 100), (5, 60), (4, 500), (3, 2000)] {
        let machine = Machine {
            now: 0,
            runs_for: runs_for_ms * MS,
            stands_for: stands_for_ms * MS,
            blur: 2000,
        };
        assert_right(machine.measure().0, 300);
    }
}

#[test]
fn what_a_short_time_shows_is_made_exact_by_a_long_one() {
    let machine = Machine {
        now: 0,
        runs_for: 6 * MS,
        stands_for: 90 * MS,
        blur: 4000,
    };
    let (hz, count) = machine.measure();
    assert_right(hz, 50);
    assert!(count < 10, "{count} attempts");
}

#[test]
fn a_machine_that_always_stands_still_is_too_busy() {
    let machine = Machine {
        now: 0,
        runs_for: MS / 2,
        stands_for: 60 * MS,
        blur: 2000,
    };
    assert_eq!(machine.measure(), (None, MOST));
}

#[test]
fn a_rough_result_does_not_say_how_often_a_counter_wrapped_in_an_hour() {
    let rough = Comparison {
        ticks: MS,
        counted: 1193,
        blur: MS / 100,
    };
    let hour = 3600 * TSC_HZ;
    let later = Comparison {
        ticks: hour,
        counted: (hour / 1000 * 1193 / 1000) & 0xffff,
        blur: 2000,
    };
    assert_eq!(later.unwrapped(&rough, BITS), None);
    // In a tenth of a second it does.
    let counted = TSC_HZ / 10 * PIT_HZ / TSC_HZ;
    let soon = Comparison {
        ticks: TSC_HZ / 10,
        counted: counted & 0xffff,
        blur: 2000,
    };
    let unwrapped = soon.unwrapped(&rough, BITS).expect("it wrapped once");
    assert_eq!(unwrapped.counted, counted);
}

#[test]
fn an_attempt_whose_counter_stopped_is_made_again_and_shorter() {
    let mut attempts = Attempts::new(32);
    for halvings in [0, 1, 2, 3, 4, 5, 5] {
        assert_eq!(attempts.next(), Some(halvings));
        attempts.note(Outcome::Nothing);
    }
    assert_eq!(attempts.best(), None);
}
