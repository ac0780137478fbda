//! Two cores: what a core's own operations take beside another core, and what it takes to hand it something.
//!
//! Under `-icount` QEMU runs the cores in turns, and goes on to the next one where one pauses or sleeps, so that a region
//! without either has the instructions of one core only. For the same reason the second core is not kicked in the region,
//! but after it: what a kick takes is the machine's.

use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use kfiber::platform::{Core, Nanoseconds, Platform};
use kfiber::scheduler::{FiberPool, JoinHandle, Scheduler, move_to, park, yield_now};
use tests_qemu::cores;
use tests_qemu::platform::Cores;
use x86_64::instructions::interrupts;

use crate::counter::{self, measure_here, start, stop};
use crate::instructions::test_the_counter;

/// The machine, but kicks of the second core are left out.
struct Quiet(Cores);

static SCHEDULER: Scheduler<Quiet, 2> = Scheduler::new(Quiet(Cores::new()));
static CELLS: FiberPool<8192, 4> = FiberPool::new();
#[cfg(feature = "trace")]
static RECORDER: kfiber::trace::Recorder<256, 2> = kfiber::trace::Recorder::new();

/// How often the second core went to sleep.
static SLEEPS: AtomicUsize = AtomicUsize::new(0);
/// Kicks that were left out.
static KICKS: AtomicUsize = AtomicUsize::new(0);
/// Whether the fiber that keeps the second core awake is to let the other one run.
static LETS_RUN: AtomicBool = AtomicBool::new(false);
static IS_OVER: AtomicBool = AtomicBool::new(false);
static HAS_MOVED_ENOUGH: AtomicBool = AtomicBool::new(false);

// SAFETY: as that of `Cores`; each kick that is left out is sent by who measures.
unsafe impl Platform for Quiet {
    fn now(&self) -> Nanoseconds {
        self.0.now()
    }

    fn set_timer(&self, deadline: Nanoseconds) {
        self.0.set_timer(deadline);
    }

    fn idle(&self) {
        if cores::this() == 1 {
            SLEEPS.fetch_add(1, Ordering::Relaxed);
        }
        self.0.idle();
    }

    fn core(&self) -> Core {
        self.0.core()
    }

    fn kick(&self, core: Core) {
        if core == Core(1) {
            KICKS.fetch_add(1, Ordering::Relaxed);
        } else {
            self.0.kick(core);
        }
    }
}

tests_qemu::kernel_test! {
    /// Prints a figure for each operation; the runner judges them.
    fn two_cores() icount cores(2) timeout(120) {
        test_the_counter();
        if let Err(error) = cores::start() {
            panic!("{error}");
        }
        let measuring = spawn(0, || {
            the_cores_own();
            post_to_a_core_that_is_awake();
            post_to_a_core_that_sleeps();
        });
        measuring.detach();
        cores::on_all(|core| {
            interrupts::enable();
            #[cfg(feature = "trace")]
            RECORDER.start(&SCHEDULER);
            SCHEDULER.run();
            // That no fiber is left was not told to the second core either.
            if core == 0 {
                cores::kick(1);
            }
        });
    }
}

fn spawn<T: Send + 'static>(
    core: usize,
    closure: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    let builder = SCHEDULER.builder().on(Core(core));
    let spawned = builder.spawn(&CELLS, closure);
    if core == 1 {
        cores::kick(1);
    }
    spawned.expect("a cell is free")
}

/// A yield and a wake-up on one core, while the other one sleeps.
fn the_cores_own() {
    wait_for_sleep_after(0);
    let other = spawn(0, || {
        while !IS_OVER.load(Ordering::Relaxed) {
            yield_now();
        }
    });
    yield_now();
    measure_here("smp_yield_2", 2, yield_now);
    let parks = spawn(0, parks_again_and_again);
    yield_now();
    let unparker = parks.unparker();
    counter::measure("smp_wake_here", 1, || {
        start();
        unparker.unpark();
        let ticks = stop();
        yield_now();
        ticks
    });
    end(parks);
    IS_OVER.store(true, Ordering::Relaxed);
    other.join().expect("nobody cancels it");
    IS_OVER.store(false, Ordering::Relaxed);
}

/// The woken fiber's core runs another fiber, which the wake-up does not interrupt.
fn post_to_a_core_that_is_awake() {
    let keeps_awake = spawn(1, || {
        while !IS_OVER.load(Ordering::Relaxed) {
            if LETS_RUN.load(Ordering::Relaxed) {
                yield_now();
                // The others wait again.
                LETS_RUN.store(false, Ordering::Relaxed);
            }
            core::hint::spin_loop();
        }
    });
    let parks = spawn(1, parks_again_and_again);
    let_the_others_run();
    let unparker = parks.unparker();
    let kicks = KICKS.load(Ordering::Relaxed);
    counter::measure("smp_post_awake", 1, || {
        start();
        unparker.unpark();
        let ticks = stop();
        let_the_others_run();
        ticks
    });
    assert_eq!(
        KICKS.load(Ordering::Relaxed),
        kicks,
        "kicks of a core that is awake"
    );
    parks.cancel();
    let_the_others_run();
    parks.join().expect("it ends when asked to");
    move_away();
    IS_OVER.store(true, Ordering::Relaxed);
    keeps_awake.join().expect("nobody cancels it");
}

/// A fiber goes to the other core, which is awake: from the call until the next fiber of its old core runs.
fn move_away() {
    let builder = SCHEDULER.builder();
    let moves = builder.spawn(&CELLS, || {
        while !HAS_MOVED_ENOUGH.load(Ordering::Relaxed) {
            start();
            move_to(Core(1)).expect("there is such a core");
            move_to(Core(0)).expect("there is such a core");
        }
    });
    counter::measure("smp_move", 1, || {
        yield_now();
        let ticks = stop();
        let_the_others_run();
        ticks
    });
    HAS_MOVED_ENOUGH.store(true, Ordering::Relaxed);
    let moves = moves.expect("a cell is free");
    moves.join().expect("nobody cancels it");
}

/// The woken fiber's core sleeps.
fn post_to_a_core_that_sleeps() {
    let parks = spawn(1, parks_again_and_again);
    let before = SLEEPS.load(Ordering::Relaxed);
    cores::kick(1);
    wait_for_sleep_after(before);
    let unparker = parks.unparker();
    counter::measure("smp_post_asleep", 1, || {
        let sleeps = SLEEPS.load(Ordering::Relaxed);
        let kicks = KICKS.load(Ordering::Relaxed);
        start();
        unparker.unpark();
        let ticks = stop();
        assert_eq!(
            KICKS.load(Ordering::Relaxed),
            kicks + 1,
            "kicks of a core that sleeps"
        );
        cores::kick(1);
        wait_for_sleep_after(sleeps);
        ticks
    });
    parks.cancel();
    cores::kick(1);
    parks.join().expect("it ends when asked to");
}

fn parks_again_and_again() {
    while park().is_ok() {}
}

fn end(fiber: JoinHandle<()>) {
    fiber.cancel();
    assert!(fiber.join().is_ok(), "it ends when asked to");
}

/// Waits until the second core has gone to sleep again.
fn wait_for_sleep_after(sleeps: usize) {
    while SLEEPS.load(Ordering::Relaxed) == sleeps {
        core::hint::spin_loop();
    }
}

/// Waits until all other fibers of the second core have run and wait again.
fn let_the_others_run() {
    LETS_RUN.store(true, Ordering::Relaxed);
    while LETS_RUN.load(Ordering::Relaxed) {
        core::hint::spin_loop();
    }
}
