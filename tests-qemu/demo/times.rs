//! What `ps` and `top` know from the flight recorder: how long a fiber ran and waited, and how soon it ran when woken.

use crate::scheduler::RECORDER;
use core::fmt;
use kfiber::platform::Nanoseconds;
use kfiber::scheduler::FiberId;

pub(super) const HEAD: &str = "      ran   waited | woken: median     99 %    worst";

/// Writes the columns of a fiber.
pub(super) fn write(f: &mut fmt::Formatter<'_>, fiber: FiberId) -> fmt::Result {
    let Some(all) = RECORDER.statistics(fiber) else {
        return Ok(());
    };
    let latency = all.latency;
    write!(f, " {} {} |", Short(all.run), Short(all.wait))?;
    write!(
        f,
        "      {} {} {}",
        Short(latency.median),
        Short(latency.p99),
        Short(latency.worst)
    )
}

/// A time in eight characters.
struct Short(Nanoseconds);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            time @ 0..10_000 => write!(f, "{time:>5} ns"),
            time @ 10_000..10_000_000 => write!(f, "{:>5} us", time / 1000),
            time => write!(f, "{:>5} ms", time / 1_000_000),
        }
    }
}
