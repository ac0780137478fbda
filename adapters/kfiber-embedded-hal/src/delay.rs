//! The delay of a driver: its fiber sleeps.

use core::time::Duration;
use embedded_hal::delay::DelayNs;
use kfiber::scheduler::{shield, sleep};

/// A delay during which other fibers run.
///
/// It takes at least the time asked for, by the clock of the fiber's scheduler, and longer if other
/// fibers do not yield. Cancelling the fiber does not shorten it, because the driver relies on the
/// time and has no way to be told; the driver's caller learns of the cancellation at its next own
/// wait. A delay of zero lets the other ready fibers run once.
///
/// # Panics
///
/// The functions panic where waiting is not allowed: outside of fibers, in interrupt handlers, and
/// with interrupts off.
///
/// # Context
///
/// Callable from: fiber. Blocks: the fiber.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FiberDelay;

impl FiberDelay {
    #[track_caller]
    fn delay(duration: Duration) {
        // Not in a closure, whose location reports would show.
        shield(|| sleep(duration)).expect("a shielded wait is not cancelled");
    }
}

impl DelayNs for FiberDelay {
    #[track_caller]
    fn delay_ns(&mut self, ns: u32) {
        Self::delay(Duration::from_nanos(ns.into()));
    }

    #[track_caller]
    fn delay_us(&mut self, us: u32) {
        Self::delay(Duration::from_micros(us.into()));
    }

    #[track_caller]
    fn delay_ms(&mut self, ms: u32) {
        Self::delay(Duration::from_millis(ms.into()));
    }
}
