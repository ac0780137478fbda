//! The recorder of a kernel: rings for its cores, and what can be done with their events.

mod export;
mod lines;
mod statistics;

pub use crate::scheduler::report::last_events::LastEvents;
pub use statistics::{Latency, Statistics};

use crate::atomic::SetOnce;
use crate::platform::{Core, Nanoseconds, Platform};
use crate::scheduler::run_loop::RunLoop;
use crate::scheduler::{FiberId, Scheduler};
use crate::trace::here;
use crate::trace::merge::Rings;
use crate::trace::ring::{RingOf, counter};
use core::fmt;
use core::ptr;
use core::sync::atomic::Ordering;

/// A flight recorder: a ring of the last `EVENTS` events for each of `CORES` cores. `EVENTS` is a
/// power of two. An event takes 32 bytes.
///
/// A recorder is a static. A core records nothing before it has called [`start`](Self::start). See
/// the [module documentation](crate::trace).
pub struct Recorder<const EVENTS: usize, const CORES: usize = 1> {
    rings: [RingOf<EVENTS>; CORES],
    /// A loop of the scheduler.
    run_loop: SetOnce<&'static RunLoop>,
}

impl<const EVENTS: usize, const CORES: usize> Recorder<EVENTS, CORES> {
    /// Returns a recorder without events.
    #[must_use]
    pub const fn new() -> Self {
        const {
            assert!(CORES > 0 && CORES <= 31, "a recorder has 1 to 31 cores");
        }
        Self {
            rings: [const { RingOf::new() }; CORES],
            run_loop: SetOnce::new(),
        }
    }

    /// Records what happens on this core from now on. The previous recorder of this core, if there
    /// is one, records nothing more.
    ///
    /// The events of the scheduler's fibers are completed by their names when they are shown. The
    /// platform of the scheduler supplies the clock by which the time-stamp counter is measured.
    ///
    /// # Panics
    ///
    /// Panics if the recorder has no ring for this core.
    ///
    /// # Context
    ///
    /// Callable from: boot code of each core, fiber. Blocks: nothing.
    pub fn start<P: Platform, const N: usize>(&'static self, scheduler: &'static Scheduler<P, N>) {
        // SAFETY: it is of this scheduler.
        unsafe { scheduler.any_loop().set_platform(scheduler.platform()) };
        let run_loop = scheduler.loop_here();
        let Core(index) = run_loop.core();
        assert!(
            index < CORES,
            "a recorder for {CORES} cores was started on core {index}: give it as many as the scheduler has"
        );
        let first: *const RingOf<EVENTS> = self.rings.as_ptr();
        Rings::unite(first.cast(), CORES, size_of::<RingOf<EVENTS>>());
        let _first_one = self.run_loop.set(run_loop);
        let rings = self.rings();
        let ring = rings.ring(index);
        // SAFETY: TR2.
        let head = unsafe { &*ring };
        let [ticks, nanoseconds] = &head.start;
        ticks.store(counter(), Ordering::Relaxed);
        nanoseconds.store(now(run_loop), Ordering::Relaxed);
        head.root
            .store(run_loop.root_address() as u64, Ordering::Relaxed);
        let fibers = ptr::from_ref(&run_loop.team().all).cast_mut();
        head.fibers.store(fibers.cast(), Ordering::Release);
        here::set(ring);
    }

    /// Records nothing more on this core, whatever recorder it had. The events stay.
    ///
    /// # Context
    ///
    /// As [`start`](Self::start), and exception handlers.
    pub fn stop(&self) {
        here::set(here::NOWHERE.head());
    }

    /// Returns the last events of a fiber, as text for a report. At most `count` lines are shown.
    ///
    /// The report of a fiber that failed contains them anyway: see
    /// [`FiberFailed`](crate::scheduler::FiberFailed).
    ///
    /// # Context
    ///
    /// Callable from: anywhere, and so is what displays it. Blocks: nothing.
    #[must_use]
    pub fn last_events(&'static self, fiber: FiberId, count: usize) -> LastEvents {
        LastEvents::new(self.rings(), Some(fiber), count)
    }

    /// Returns the last events of all cores, as text for a report. At most `count` lines are shown.
    ///
    /// # Context
    ///
    /// As [`last_events`](Self::last_events).
    #[must_use]
    pub fn last(&'static self, count: usize) -> LastEvents {
        LastEvents::new(self.rings(), None, count)
    }

    /// Computes how long a fiber ran and waited, and how soon it ran after it was woken, from the
    /// events that are still there. It reads all of them. Returns `None` before
    /// [`start`](Self::start).
    ///
    /// # Context
    ///
    /// Callable from: anywhere; it needs about 2 KiB of stack. Blocks: nothing.
    #[must_use]
    pub fn statistics(&'static self, fiber: FiberId) -> Option<Statistics> {
        let run_loop = *self.run_loop.get()?;
        let scale = self.scale(run_loop);
        Some(statistics::of(self.rings(), fiber, scale))
    }

    /// Writes all events, and what is needed to understand them, as lines of text for
    /// `cargo kfiber trace`. Other lines may be written between them, for instance to the log of a
    /// serial port.
    ///
    /// Events that are recorded meanwhile are left out.
    ///
    /// # Errors
    ///
    /// Returns the error of the writer.
    ///
    /// # Context
    ///
    /// Callable from: anywhere that may use the writer. Blocks: nothing.
    pub fn export(&'static self, writer: &mut dyn fmt::Write) -> fmt::Result {
        let mut lines = lines::Lines::new(writer);
        self.export_to(&mut |bytes| lines.write(bytes))?;
        lines.finish()
    }

    /// Writes what [`export`](Self::export) does as bytes, in pieces. `cargo kfiber trace` reads
    /// both.
    ///
    /// # Errors
    ///
    /// Returns the error of the writer.
    ///
    /// # Context
    ///
    /// As [`export`](Self::export).
    pub fn export_bytes<E>(
        &'static self,
        mut write: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.export_to(&mut write)
    }

    fn export_to<E>(&'static self, write: &mut dyn FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let clock = self.run_loop.get().map(|run_loop| now(run_loop));
        export::write(self.rings(), [counter(), clock.unwrap_or(0)], write)
    }

    /// Returns the rings.
    fn rings(&'static self) -> Rings {
        let first: *const RingOf<EVENTS> = self.rings.as_ptr();
        if self.run_loop.is_set() {
            Rings::of(first.cast())
        } else {
            Rings::none()
        }
    }

    /// Returns how many nanoseconds and how many ticks of the time-stamp counter have passed since
    /// the start.
    fn scale(&'static self, run_loop: &RunLoop) -> [u64; 2] {
        let Core(index) = run_loop.core();
        // SAFETY: TR2.
        let head = unsafe { &*self.rings().ring(index) };
        let [ticks, nanoseconds] = head.start.each_ref().map(|it| it.load(Ordering::Relaxed));
        [
            now(run_loop).saturating_sub(nanoseconds).max(1),
            counter().saturating_sub(ticks).max(1),
        ]
    }
}

/// Returns the time by which the time-stamp counter is measured. On a host this is not the time of
/// the platform, which jumps.
#[cfg(target_os = "linux")]
fn now(_run_loop: &RunLoop) -> Nanoseconds {
    extern crate std;
    static BEGAN: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    let began = BEGAN.get_or_init(std::time::Instant::now);
    Nanoseconds::try_from(began.elapsed().as_nanos()).unwrap_or(Nanoseconds::MAX)
}

/// Returns the time by which the time-stamp counter is measured.
#[cfg(not(target_os = "linux"))]
fn now(run_loop: &RunLoop) -> Nanoseconds {
    run_loop.platform().now()
}

impl<const EVENTS: usize, const CORES: usize> Default for Recorder<EVENTS, CORES> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const EVENTS: usize, const CORES: usize> fmt::Debug for Recorder<EVENTS, CORES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder")
            .field("is_started", &self.run_loop.is_set())
            .finish_non_exhaustive()
    }
}
