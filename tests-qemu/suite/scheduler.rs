//! The scheduler on the bare machine: real interrupts, a real timer, a processor that really sleeps.

mod cancel;
mod guards;
mod hooks;
mod life;
mod list;
mod misuse;
mod parking;
mod preempted;
mod preempted_backtrace;
mod scopes;
mod small;
mod stepped;
mod time;
mod turns;

use core::{
    mem,
    sync::atomic::{AtomicPtr, AtomicU64, Ordering},
};

use kfiber::{
    platform::{Nanoseconds, Platform, SwitchHook},
    scheduler::{FiberPool, JoinHandle, Scheduler},
};
use tests_qemu::{
    interrupts::{on_tick, stop_timer},
    platform::{self, Bare},
};
use x86_64::instructions::interrupts;

use crate::place::Place;

/// Room for a panic's message in a debug build.
const STACK: usize = 16 * 1024;

pub(crate) static SCHEDULER: Scheduler<Machine> = Scheduler::new(Machine::new());
static CELLS: FiberPool<STACK, 8> = FiberPool::new();

/// The bare machine, counted.
pub(crate) struct Machine {
    bare: Bare,
    sleeps: AtomicU64,
    timers: AtomicU64,
    hook: AtomicPtr<()>,
}

impl Machine {
    const fn new() -> Self {
        Self {
            bare: platform::bare(),
            sleeps: AtomicU64::new(0),
            timers: AtomicU64::new(0),
            hook: AtomicPtr::new(core::ptr::null_mut()),
        }
    }

    /// How often the processor was sent to sleep.
    pub(crate) fn sleeps(&self) -> u64 {
        self.sleeps.load(Ordering::Relaxed)
    }

    /// How often the timer was set.
    fn timers(&self) -> u64 {
        self.timers.load(Ordering::Relaxed)
    }

    /// Has `hook` called at each switch of the next run.
    pub(crate) fn set_hook(&self, hook: SwitchHook) {
        self.hook.store(hook as *mut (), Ordering::Relaxed);
    }
}

// SAFETY: as that of `Bare`, which does the work.
unsafe impl Platform for Machine {
    fn now(&self) -> Nanoseconds {
        self.bare.now()
    }

    fn set_timer(&self, deadline: Nanoseconds) {
        self.timers.fetch_add(1, Ordering::Relaxed);
        self.bare.set_timer(deadline);
    }

    fn idle(&self) {
        self.sleeps.fetch_add(1, Ordering::Relaxed);
        self.bare.idle();
    }

    fn switch_hook(&self) -> Option<SwitchHook> {
        let hook = self.hook.load(Ordering::Relaxed);
        // SAFETY: null, or made from such a function by `set_hook`.
        unsafe { mem::transmute(hook) }
    }
}

/// Runs all fibers to their end; the timer's interrupts end sleeps.
fn run() {
    on_tick(|_| SCHEDULER.timer_interrupt());
    run_with_interrupts();
}

/// Runs all fibers to their end, with whatever handler the test has set.
pub(crate) fn run_with_interrupts() {
    interrupts::enable();
    SCHEDULER.run();
    interrupts::disable();
    stop_timer();
}

/// Runs fibers until all wait.
pub(crate) fn run_until_idle() {
    interrupts::enable();
    SCHEDULER.run_until_idle();
    interrupts::disable();
}

/// Makes a fiber like any other.
#[track_caller]
fn spawn<T: Send + 'static>(closure: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    SCHEDULER.spawn(&CELLS, closure).expect("a cell is free")
}

/// Runs a test that needs to be a fiber.
fn in_a_fiber<T: Send + 'static>(closure: impl FnOnce() -> T + Send + 'static) -> T {
    let fiber = spawn(closure);
    run();
    fiber.try_join().expect("all have ended")
}

/// What happened in which order.
struct Log {
    entries: [AtomicU64; 64],
    length: AtomicU64,
}

impl Log {
    const fn new() -> Self {
        Self {
            entries: [const { AtomicU64::new(0) }; 64],
            length: AtomicU64::new(0),
        }
    }

    fn note(&self, entry: u64) {
        let index = self.length.fetch_add(1, Ordering::Relaxed);
        self.entries[usize::try_from(index).expect("64 bits")].store(entry, Ordering::Relaxed);
    }

    #[track_caller]
    fn assert_is(&self, expected: &[u64]) {
        let entries = self
            .entries
            .each_ref()
            .map(|entry| entry.load(Ordering::Relaxed));
        let length = usize::try_from(self.length.load(Ordering::Relaxed)).expect("64 bits");
        assert_eq!(&entries[..length], expected);
    }
}
