//! The platform of a Linux process, with virtual time and with interrupts that are function calls.

extern crate std;

use super::{Core, NEVER, Nanoseconds, Platform};
use core::cell::Cell;
use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard};

std::thread_local! {
    static ARE_ENABLED: Cell<bool> = const { Cell::new(true) };
    /// The core that this thread plays, if it does.
    static CORE: Cell<Option<usize>> = const { Cell::new(None) };
}

/// The number of cores that threads can play.
const CORES: usize = 32;

/// Returns `true` if this thread is outside of [`Host::interrupt`].
#[inline]
pub(crate) fn are_enabled() -> bool {
    ARE_ENABLED.get()
}

#[inline]
pub(crate) fn disable() {
    ARE_ENABLED.set(false);
}

#[inline]
pub(crate) fn enable() {
    ARE_ENABLED.set(true);
}

/// The platform of host tests.
///
/// The clock stands still while fibers run, and jumps to the next deadline when all of them wait.
/// Each run therefore gives the same result. If there is no deadline, the platform really waits
/// until another thread wakes a fiber.
///
/// ```
/// use kfiber::platform::{Host, Platform};
///
/// let host = Host::new();
/// host.advance(5);
/// assert_eq!(host.now(), 5);
/// ```
///
/// A scheduler with several cores has a thread for each: see [`as_core`](Self::as_core).
#[derive(Debug)]
pub struct Host {
    now: AtomicU64,
    deadlines: [AtomicU64; CORES],
    cores: Mutex<Cores>,
    changed: Condvar,
}

/// What the threads do that play cores. Each set has a bit for each core.
#[derive(Debug)]
struct Cores {
    /// The cores within [`Host::as_core`].
    present: u32,
    /// Those of them that are in `idle`.
    idle: u32,
    /// The cores that were kicked and have not noticed it yet.
    kicked: u32,
}

impl Host {
    /// Returns a platform whose clock is at zero.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            now: AtomicU64::new(0),
            deadlines: [const { AtomicU64::new(NEVER) }; CORES],
            cores: Mutex::new(Cores {
                present: 0,
                idle: 0,
                kicked: 0,
            }),
            changed: Condvar::new(),
        }
    }

    /// Advances the clock, for instance to simulate work of a fiber.
    pub fn advance(&self, nanoseconds: Nanoseconds) {
        self.now.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// Runs `f` on this thread as code on this core. A thread that is not in this function is core
    /// 0.
    ///
    /// The clock is that of all cores. It jumps when all threads that are in this function wait.
    ///
    /// ```
    /// # #[cfg(feature = "smp")] {
    /// use kfiber::platform::{Core, Host};
    /// use kfiber::scheduler::{FiberCell, Scheduler};
    ///
    /// static SCHEDULER: Scheduler<Host, 2> = Scheduler::new(Host::new());
    /// static CELL: FiberCell<65536> = FiberCell::new();
    ///
    /// let fiber = SCHEDULER.builder().on(Core(1)).spawn(&CELL, || 5).unwrap();
    /// std::thread::scope(|threads| {
    ///     for core in 0..2 {
    ///         threads.spawn(move || SCHEDULER.platform().as_core(Core(core), || SCHEDULER.run()));
    ///     }
    /// });
    /// assert_eq!(fiber.try_join().unwrap(), 5);
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if the thread plays a core already, if another thread plays this one, and if the
    /// number is 32 or more.
    pub fn as_core<R>(&self, core: Core, f: impl FnOnce() -> R) -> R {
        /// Ends the part, also when `f` unwinds.
        struct Leave<'a>(&'a Host, u32);
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                CORE.set(None);
                self.0.lock().present &= !self.1;
                self.0.changed.notify_all();
            }
        }

        let Core(number) = core;
        assert!(
            number < CORES,
            "a host has at most {CORES} cores: {core:?} is too much"
        );
        assert!(
            CORE.get().is_none(),
            "this thread plays a core already: start a thread for each core"
        );
        let bit = 1 << number;
        let before = {
            let mut cores = self.lock();
            let before = cores.present;
            cores.present |= bit;
            before
        };
        assert!(
            before & bit == 0,
            "another thread plays {core:?} already: give each thread another number"
        );
        CORE.set(Some(number));
        let _leave = Leave(self, bit);
        f()
    }

    fn lock(&self) -> MutexGuard<'_, Cores> {
        self.cores.lock().expect("no holder panics")
    }

    /// Waits as a core until it is kicked or its deadline has passed.
    fn wait(&self, number: usize) {
        let bit = 1 << number;
        let deadline = |number: usize| self.deadlines[number].load(Ordering::Relaxed);
        let mut cores = self.lock();
        cores.idle |= bit;
        loop {
            if cores.kicked & bit != 0 || deadline(number) <= self.now() {
                break;
            }
            // A thread that plays no core is alone, and its scheduler has one core.
            let is_last = cores.present & !cores.idle == 0 && cores.kicked & cores.idle == 0;
            let others = (0..CORES).filter(|other| cores.present & cores.idle & 1 << other != 0);
            let next = others.map(deadline).fold(deadline(number), u64::min);
            // If a deadline of another has passed already, that one is about to wake.
            if is_last && next != NEVER && next > self.now() {
                self.now.fetch_max(next, Ordering::Relaxed);
                self.changed.notify_all();
                continue;
            }
            cores = self.changed.wait(cores).expect("no holder panics");
        }
        cores.kicked &= !bit;
        cores.idle &= !bit;
    }

    /// Runs `handler` as an interrupt handler runs, with interrupts off.
    pub fn interrupt<R>(handler: impl FnOnce() -> R) -> R {
        /// Ends the interrupt, also when the handler unwinds.
        struct Return(bool);
        impl Drop for Return {
            fn drop(&mut self) {
                ARE_ENABLED.set(self.0);
            }
        }

        let _return = Return(ARE_ENABLED.replace(false));
        handler()
    }
}

impl Default for Host {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: what plays an interrupt runs as a call, so none comes while `idle` is called; another thread that wakes a fiber
// kicks after it wrote to the inbox, and a kick is remembered. P1: there are no other handlers.
unsafe impl Platform for Host {
    fn now(&self) -> Nanoseconds {
        self.now.load(Ordering::Relaxed)
    }

    fn set_timer(&self, deadline: Nanoseconds) {
        self.deadlines[this_core()].store(deadline, Ordering::Relaxed);
    }

    fn idle(&self) {
        self.wait(this_core());
        enable();
    }

    fn late_timer_limit(&self) -> Nanoseconds {
        NEVER // time jumps, and nothing interrupts
    }

    fn core(&self) -> Core {
        Core(this_core())
    }

    fn kick(&self, Core(number): Core) {
        self.lock().kicked |= 1 << number;
        self.changed.notify_all();
    }
}

/// Returns the number of the core that this thread plays, or 0.
fn this_core() -> usize {
    CORE.get().unwrap_or(0)
}
