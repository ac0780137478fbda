//! What is computed where fibers do more than switch: a chain of multiplications.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Steps of about a microsecond.
pub(crate) const MICROSECOND: u32 = 1000;

/// A number that takes so many steps to compute, three cycles each.
#[inline(never)]
pub(crate) const fn work(first: u64, steps: u32) -> u64 {
    let mut number = first;
    let mut step = 0;
    while step < steps {
        number = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 1;
        step += 1;
    }
    number
}

/// What each side of a ping-pong computes before it answers, so that the other one waits for long and falls asleep.
#[derive(Clone, Copy)]
pub(crate) struct Thought {
    steps: u32,
}

impl Thought {
    /// None: who waits is answered at once.
    pub(crate) const NONE: Self = Self { steps: 0 };
    /// Long enough for everybody here to fall asleep.
    pub(crate) const LONG: Self = Self {
        steps: 50 * MICROSECOND,
    };

    /// Thinks.
    #[expect(clippy::missing_const_for_fn, reason = "it is to take time")]
    pub(crate) fn think(self) {
        std::hint::black_box(work(1, std::hint::black_box(self.steps)));
    }

    /// Takes from a time what both sides have thought in it.
    pub(crate) fn taken_from(self, time: Duration, laps: usize) -> Duration {
        /// The shortest of some times counts, the same for everybody.
        static LONG: OnceLock<Duration> = OnceLock::new();
        if self.steps == 0 {
            return time;
        }
        let once = |_| {
            let start = Instant::now();
            self.think();
            start.elapsed()
        };
        let thought = LONG.get_or_init(|| (0..50).map(once).min().expect("there are some"));
        let laps = u32::try_from(laps).expect("few");
        time.saturating_sub(*thought * 2 * laps)
    }
}
