//! The smallest stacks, under a storm of interrupts that use them too: every instruction of a switch may be the deepest.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::{cell::UnsafeCell, time::Duration};

use kfiber::{
    platform::{Nanoseconds, Platform},
    scheduler::{FiberPool, Scheduler, Unparker, current, park, park_timeout, yield_now},
    stack::{MIN_SIZE_BYTES, StackMemory, Storage},
};
use tests_qemu::{
    command_line,
    cpu::Random,
    interrupts::{on_tick, start_one_shot, stop_timer, ticks},
    kernel_test,
    platform::{self, Bare},
    println,
};
use x86_64::instructions::interrupts;

/// What is enough for small closures that wait in all ways, and an interrupt handler that wakes.
const ENOUGH: usize = if cfg!(debug_assertions) {
    7 * MIN_SIZE_BYTES
} else {
    MIN_SIZE_BYTES
};
/// From one interrupt to the next at most, in nanoseconds, which are instructions. The handler needs some of them for
/// itself; the rest, if any is left, is what the fibers get.
const LONGEST_DELAY: u64 = if cfg!(debug_assertions) {
    12_000
} else {
    1_000
};
/// Longer than it takes to begin a wait: a deadline that has passed by then lets nobody else run.
const TIMEOUT: Duration = Duration::from_nanos(if cfg!(debug_assertions) { 5_000 } else { 700 });
const FIBERS: usize = 4;

/// A machine whose timer is the storm's.
struct Stormy(Bare);

// SAFETY: as that of `Bare`; the storm never ends, so a deadline is looked at soon after it has passed.
unsafe impl Platform for Stormy {
    fn now(&self) -> Nanoseconds {
        self.0.now()
    }

    fn set_timer(&self, _: Nanoseconds) {}

    fn idle(&self) {
        self.0.idle();
    }
}

static SCHEDULER: Scheduler<Stormy> = Scheduler::new(Stormy(platform::bare()));
static CELLS: FiberPool<ENOUGH, FIBERS> = FiberPool::new();
static IS_OVER: AtomicBool = AtomicBool::new(false);
static WOKEN: AtomicU64 = AtomicU64::new(0);
/// Interrupts that are still to come, and those that came while the fiber ran that they wake.
static LEFT: AtomicU64 = AtomicU64::new(0);
static HITS: AtomicU64 = AtomicU64::new(0);

struct Storm(UnsafeCell<(Random, Option<Unparker>)>);

// SAFETY: one core; the handler alone uses it once the timer has started.
unsafe impl Sync for Storm {}

static STORM: Storm = Storm(UnsafeCell::new((Random::new(0), None)));

fn storm() -> &'static mut (Random, Option<Unparker>) {
    // SAFETY: the timer has not started, or the handler runs, which nobody interrupts.
    unsafe { &mut *STORM.0.get() }
}

fn is_over() -> bool {
    IS_OVER.load(Ordering::Relaxed)
}

kernel_test! {
    /// `rounds=N`: so many interrupts.
    fn the_smallest_stack_bears_every_wait_and_an_interrupt_at_its_deepest() icount timeout(600) {
        for cell in CELLS.stacks() {
            Storage::take(cell).expect("it is new").paint();
        }
        let parked = SCHEDULER.spawn(&CELLS, || while !is_over() {
            if park().is_ok() {
                WOKEN.fetch_add(1, Ordering::Relaxed);
            }
        });
        let parked = parked.expect("one for each");
        for _ in 0..2 {
            SCHEDULER.spawn(&CELLS, || while !is_over() { yield_now() }).expect("one for each").detach();
        }
        let timed = SCHEDULER.spawn(&CELLS, || while !is_over() {
            assert!(park_timeout(TIMEOUT).is_err());
        });
        timed.expect("one for each").detach();
        *storm() = (Random::from_command_line(), Some(parked.unparker()));
        on_tick(|_| {
            let (random, waker) = storm();
            SCHEDULER.timer_interrupt();
            waker.expect("set").unpark();
            if current() == waker.map(Unparker::id) {
                HITS.fetch_add(1, Ordering::Relaxed);
            }
            if LEFT.fetch_sub(1, Ordering::Relaxed) > 1 {
                start_one_shot(u32::try_from(1 + random.below(LONGEST_DELAY)).expect("small"));
            } else {
                IS_OVER.store(true, Ordering::Relaxed);
                start_one_shot(1_000_000);
            }
        });
        LEFT.store(command_line::rounds(10_000), Ordering::Relaxed);
        SCHEDULER.platform().now(); // compares the clocks, which needs the timer
        let mut before = SCHEDULER.fibers().map(|fiber| fiber.stack_usage().used_bytes);
        assert!(before.all(|bytes| bytes < ENOUGH / 4), "they were painted, and have not run");
        interrupts::enable();
        start_one_shot(10_000);
        SCHEDULER.run();
        interrupts::disable();
        stop_timer();
        let (hits, woken) = (HITS.load(Ordering::Relaxed), WOKEN.load(Ordering::Relaxed));
        println!("{} interrupts, {hits} of them on the fiber that they woke, {woken} wakes", ticks());
        drop(parked);
        for cell in CELLS.stacks() {
            let cell = Storage::take(cell).expect("its fiber has ended");
            println!("{} of {} bytes used", cell.usage().used_bytes, cell.usage().size_bytes);
            assert!(cell.is_canary_intact() && cell.usage().free_bytes() > 0, "it was not enough");
        }
        assert!(woken > ticks() / 4 && hits > ticks() / 16, "it was no storm");
    }
}
