//! What a scheduler does with cores that sleep: it kicks those that have something to do, and no others.

use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use kfiber::{
    platform::{Core, Nanoseconds, Platform},
    scheduler::{FiberCell, Scheduler, yield_now},
};
use tests_qemu::{cores, cpu, kernel_test, platform::Cores};
use x86_64::instructions::interrupts;

use crate::{
    machine::start_cores,
    team::{self, STACK},
};

/// A machine whose kicks are counted, and can be left out.
pub(crate) struct Kicked {
    cores: Cores,
    kicks: AtomicUsize,
    are_lost: AtomicBool,
}

pub(crate) static SCHEDULER: Scheduler<Kicked, 2> = Scheduler::new(Kicked {
    cores: Cores::new(),
    kicks: AtomicUsize::new(0),
    are_lost: AtomicBool::new(false),
});
static CELLS: [FiberCell<STACK>; 2] = [const { FiberCell::new() }; 2];
static HAS_RUN: AtomicBool = AtomicBool::new(false);
/// How often each core has gone to sleep.
pub(crate) static SLEEPS: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];

// SAFETY: as that of `Cores`, unless a test leaves a kick out on purpose: it then sends it itself.
unsafe impl Platform for Kicked {
    fn now(&self) -> Nanoseconds {
        self.cores.now()
    }

    fn set_timer(&self, deadline: Nanoseconds) {
        self.cores.set_timer(deadline);
    }

    fn idle(&self) {
        SLEEPS[cores::this()].fetch_add(1, Ordering::SeqCst);
        self.cores.idle();
    }

    fn core(&self) -> Core {
        self.cores.core()
    }

    fn kick(&self, core: Core) {
        self.kicks.fetch_add(1, Ordering::Relaxed);
        if !self.are_lost.load(Ordering::Relaxed) {
            self.cores.kick(core);
        }
    }
}

kernel_test! {
    fn a_core_that_sleeps_is_kicked_once() cores(2) timeout(60) {
        start_cores();
        let fiber = SCHEDULER.builder().on(Core(0)).spawn(&CELLS[0], || {
            wait_until_core_1_sleeps();
            let before = SCHEDULER.platform().kicks.load(Ordering::Relaxed);
            spawn_on_core_1();
            while !HAS_RUN.load(Ordering::Acquire) {
                core::hint::spin_loop();
            }
            SCHEDULER.platform().kicks.load(Ordering::Relaxed) - before
        });
        run();
        let kicks = fiber.expect("the cell is free").try_join().expect("it has ended");
        assert_eq!(kicks, 1);
    }

    /// Planted: without the kick the other core sleeps on, and everybody would wait for ever.
    fn a_kick_that_is_left_out_leaves_the_core_asleep() cores(2) timeout(60) {
        start_cores();
        let fiber = SCHEDULER.builder().on(Core(0)).spawn(&CELLS[0], || {
            wait_until_core_1_sleeps();
            SCHEDULER.platform().are_lost.store(true, Ordering::Relaxed);
            spawn_on_core_1();
            let start = cpu::cycles();
            while cpu::cycles() - start < 200_000_000 {
                core::hint::spin_loop();
            }
            let has_run = HAS_RUN.load(Ordering::Acquire);
            SCHEDULER.platform().are_lost.store(false, Ordering::Relaxed);
            cores::kick(1);
            has_run
        });
        run();
        let has_run = fiber.expect("the cell is free").try_join().expect("it has ended");
        assert!(!has_run, "the core was woken by something else");
        assert!(HAS_RUN.load(Ordering::Acquire));
    }

    /// Both cores have fibers all the time, so nobody needs an interrupt.
    fn a_core_that_is_awake_is_not_kicked() cores(2) timeout(60) {
        start_cores();
        let busy = |index: usize| {
            let other = 1 - index;
            SCHEDULER.builder().on(Core(index)).spawn(&CELLS[index], move || {
                READY[index].store(true, Ordering::Release);
                while !READY[other].load(Ordering::Acquire) {
                    yield_now();
                }
                for _ in 0..1_000 {
                    yield_now();
                }
                // Both are awake until both are done.
                let kicks = SCHEDULER.platform().kicks.load(Ordering::Relaxed);
                DONE.fetch_add(1, Ordering::AcqRel);
                while DONE.load(Ordering::Acquire) < 2 {
                    yield_now();
                }
                kicks
            })
        };
        let fibers = [0, 1].map(busy);
        SCHEDULER.platform().kicks.store(0, Ordering::Relaxed);
        run();
        for fiber in fibers {
            let kicks = fiber.expect("the cell is free").try_join().expect("it has ended");
            // A core may have slept before it had its fiber.
            assert!(kicks <= 2, "{kicks} kicks");
        }
    }

    /// While one fiber keeps its core busy, those of the other cores go on: also those that it should not keep waiting.
    fn a_hog_holds_up_only_its_own_core() cores(4) timeout(60) {
        let count = team::start();
        let hog = team::spawn_on(1, || {
            READY[0].store(true, Ordering::Release);
            while DONE.load(Ordering::Acquire) < 30 {
                core::hint::spin_loop();
            }
            BEHIND.load(Ordering::Acquire)
        });
        let behind = team::spawn_on(1, || BEHIND.fetch_add(1, Ordering::AcqRel));
        for index in 0..30 {
            let core = [0, 2, 3][index % (count - 1)];
            team::spawn_on(core, move || {
                while !READY[0].load(Ordering::Acquire) {
                    yield_now();
                }
                kfiber::scheduler::sleep(core::time::Duration::from_micros(300)).expect("nobody cancels it");
                DONE.fetch_add(1, Ordering::AcqRel);
            }).detach();
        }
        team::run();
        assert_eq!(hog.try_join().expect("it has ended"), 0, "fibers that ran on the hog's core beside it");
        behind.try_join().expect("it has ended");
    }
}

static READY: [AtomicBool; 2] = [const { AtomicBool::new(false) }; 2];
static DONE: AtomicUsize = AtomicUsize::new(0);
static BEHIND: AtomicUsize = AtomicUsize::new(0);

pub(crate) fn run() {
    cores::on_all(|_| {
        interrupts::enable();
        SCHEDULER.run();
    });
}

/// Waits, without yielding, until the other core has gone to sleep, and a bit longer.
fn wait_until_core_1_sleeps() {
    while SLEEPS[1].load(Ordering::SeqCst) == 0 {
        core::hint::spin_loop();
    }
}

fn spawn_on_core_1() {
    let body = || HAS_RUN.store(true, Ordering::Release);
    let spawned = SCHEDULER.builder().on(Core(1)).spawn(&CELLS[1], body);
    spawned.expect("the cell is free").detach();
}
