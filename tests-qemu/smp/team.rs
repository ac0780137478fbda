//! A scheduler for each number of cores, and what tests do with the one that fits their machine.

use core::sync::atomic::{AtomicUsize, Ordering};

use kfiber::{
    platform::Core,
    scheduler::{Builder, FiberId, FiberInfo, FiberPool, Hooks, JoinHandle, Priority, Scheduler},
};
use tests_qemu::{cores, interrupts::on_tick, platform::Cores};
use x86_64::instructions::interrupts;

use crate::machine::start_cores;

/// Room for a panic's message and for a watchdog's look at all cores, in a debug build.
pub(crate) const STACK: usize = 32 * 1024;
/// As many fibers as any test has at a time.
pub(crate) const FIBERS: usize = 72;

pub(crate) static CELLS: FiberPool<STACK, FIBERS> = FiberPool::new();

static TWO: Scheduler<Cores, 2> = Scheduler::new(Cores::new());
static FOUR: Scheduler<Cores, 4> = Scheduler::new(Cores::new());
static EIGHT: Scheduler<Cores, 8> = Scheduler::new(Cores::new());

/// A scheduler, whatever the number of its cores.
pub(crate) trait Team: Sync {
    fn builder(&'static self) -> Builder;
    fn run(&'static self);
    fn run_until_idle(&'static self);
    fn timer_interrupt(&'static self);
    fn set_hooks(&'static self, hooks: &'static dyn Hooks);
    fn count_fibers(&'static self) -> usize;
    fn priority_of(&'static self, id: FiberId) -> Priority;
}

impl<const COUNT: usize> Team for Scheduler<Cores, COUNT> {
    fn builder(&'static self) -> Builder {
        Self::builder(self)
    }

    fn run(&'static self) {
        Self::run(self);
    }

    fn run_until_idle(&'static self) {
        Self::run_until_idle(self);
    }

    fn timer_interrupt(&'static self) {
        Self::timer_interrupt(self);
    }

    fn set_hooks(&'static self, hooks: &'static dyn Hooks) {
        Self::set_hooks(self, hooks).expect("the first");
    }

    fn count_fibers(&'static self) -> usize {
        Self::fibers(self).map(|_: FiberInfo| 1).sum()
    }

    fn priority_of(&'static self, id: FiberId) -> Priority {
        let found = Self::fibers(self).find(|fiber| fiber.id == id);
        found.expect("the fiber lives").priority
    }
}

/// Returns the scheduler for the cores that run.
pub(crate) fn team() -> &'static dyn Team {
    match cores::count() {
        2 => &TWO,
        4 => &FOUR,
        8 => &EIGHT,
        other => panic!("no scheduler has {other} cores"),
    }
}

/// Starts the cores that the test asks for, and returns their number.
pub(crate) fn start() -> usize {
    let count = start_cores();
    on_tick(|_| team().timer_interrupt());
    count
}

/// Makes a fiber that runs on any core.
#[track_caller]
pub(crate) fn spawn<T: Send + 'static>(
    closure: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    let spawned = team().builder().spawn(&CELLS, closure);
    spawned.expect("a cell is free")
}

/// Makes a fiber that stays on one core.
#[track_caller]
pub(crate) fn spawn_on<T: Send + 'static>(
    core: usize,
    closure: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    let spawned = team().builder().on(Core(core)).spawn(&CELLS, closure);
    spawned.expect("a cell is free")
}

/// Runs all fibers to their end, on all cores.
pub(crate) fn run() {
    static RETURNED: AtomicUsize = AtomicUsize::new(0);
    RETURNED.store(0, Ordering::Relaxed);
    cores::on_all(|_| {
        interrupts::enable();
        team().run();
        RETURNED.fetch_add(1, Ordering::Relaxed);
    });
    assert_eq!(RETURNED.load(Ordering::Relaxed), cores::count());
}

/// Returns what a fiber returns that runs alone: what only fibers may ask.
pub(crate) fn ask<T: Send + 'static>(closure: impl FnOnce() -> T + Send + 'static) -> T {
    let fiber = spawn(closure);
    run();
    fiber.try_join().expect("all have ended")
}

/// Runs fibers on all cores until all of them wait.
pub(crate) fn run_until_idle() {
    cores::on_all(|_| {
        interrupts::enable();
        team().run_until_idle();
    });
}
