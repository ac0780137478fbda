//! What goes wrong on purpose, and what the kernel makes of it: `deadlock` and `hog`.

use crate::machine::CORES;
use crate::scheduler::SCHEDULER;
use core::time::Duration;
use kfiber::platform::{Nanoseconds, Platform};
use kfiber::scheduler::{
    self, AfterDeadlock, AfterStall, Deadlock, FiberPool, Hooks, Registers, Report, Stall,
    StallKind, Watchdog,
};
use kfiber::sync::Mutex;
use tests_qemu::exceptions::TrapFrame;
use tests_qemu::{cores, println};

/// Who runs for longer than this without letting others run is a hog. Each core has a watchdog of its own.
static WATCHDOGS: [Watchdog; CORES] = [const { Watchdog::new(Duration::from_millis(100)) }; CORES];
/// How often the timer looks, while a fiber runs.
const TICK_NS: Nanoseconds = 20_000_000;

/// What this kernel does when something goes wrong: it prints, and goes on.
pub(crate) struct Kernel;

impl Hooks for Kernel {
    fn report(&self, report: &Report<'_>) {
        println!("\n{report}");
    }

    /// The others go on; the fibers in the cycle wait for ever.
    fn deadlocked(&self, deadlock: &Deadlock<'_>) -> AfterDeadlock {
        self.report(&Report::Deadlock(deadlock));
        AfterDeadlock::Wait
    }

    /// Usually the shell waits for a key, and the processor sleeps. When nobody can be woken any more the kernel is done.
    fn stalled(&self, stall: &Stall<'_>) -> AfterStall {
        if stall.kind == StallKind::Idle {
            AfterStall::Sleep
        } else {
            AfterStall::Return
        }
    }
}

/// What is done at each interrupt of the timer.
pub(crate) fn on_tick(frame: &mut TrapFrame) {
    let interrupted = Registers {
        rip: frame.rip,
        rsp: frame.rsp,
        rbp: frame.rbp,
    };
    let platform = SCHEDULER.platform();
    WATCHDOGS[cores::this()].tick(&SCHEDULER, platform.now(), interrupted);
    SCHEDULER.timer_interrupt();
    if scheduler::current().is_some() {
        // Until the scheduler sets the timer anew, which it does when the fiber lets it.
        platform.set_timer(platform.now() + TICK_NS);
    }
}

/// Two fibers that lock in opposite order.
pub(crate) fn deadlock() {
    static CELLS: FiberPool<{ 16 * 1024 }, 2> = FiberPool::new();
    static LOCKS: [Mutex<()>; 2] = [const { Mutex::new(()) }; 2];
    for (name, first) in [("left", 0), ("right", 1)] {
        let body = move || {
            let _first = LOCKS[first].lock();
            scheduler::yield_now();
            let _second = LOCKS[1 - first].lock();
        };
        match SCHEDULER.builder().name(name).spawn(&CELLS, body) {
            Ok(fiber) => fiber.detach(),
            Err(error) => return println!("once is enough: {error}"),
        }
    }
    scheduler::sleep(Duration::from_millis(20)).expect("nobody cancels the shell");
    println!("\nThe shell goes on. All that wait, as `Scheduler::wait_graph` has them:");
    let _printed = SCHEDULER.wait_graph(|graph| println!("{graph}"));
}

/// A fiber that computes for a while without letting others run.
pub(crate) fn hog() {
    static CELLS: FiberPool<{ 16 * 1024 }, 1> = FiberPool::new();
    let body = || {
        let start = scheduler::now();
        while scheduler::now() < start + 300_000_000 {
            core::hint::spin_loop();
        }
    };
    match SCHEDULER.builder().name("hog").spawn(&CELLS, body) {
        Ok(fiber) => fiber.detach(),
        Err(error) => return println!("one at a time: {error}"),
    }
    // The shell is more urgent, but it gets its turn only when the hog lets it.
    let start = scheduler::now();
    scheduler::sleep(Duration::from_millis(10)).expect("nobody cancels the shell");
    let late = (scheduler::now() - start) / 1_000_000;
    println!("\nThe shell wanted to sleep for 10 ms and slept for {late} ms.");
}
