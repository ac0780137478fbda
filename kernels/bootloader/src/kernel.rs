//! What the kernel does: three fibers, one for each thing that a kernel waits for.

use core::fmt;
use core::panic::PanicInfo;
use core::time::Duration;

use kfiber::platform::BareX86_64;
use kfiber::scheduler::{
    self, FiberCell, GuardedFiberPool, Hooks, Report, Scheduler, fiber_panicked,
};
use kfiber::sync::Channel;
use x86_64::VirtAddr;

use crate::machine::{self, Ticks};
use crate::println;

/// All fibers of this kernel.
pub static SCHEDULER: Scheduler<BareX86_64<Ticks>> = Scheduler::new(platform());

/// Memory for the stacks of fibers. Those of a pool whose name begins with `Guarded` have a guard page below them.
static CLOCK: FiberCell<{ 32 * 1024 }> = FiberCell::new();
static KEYBOARD: FiberCell<{ 32 * 1024 }> = FiberCell::new();
static TESTER: FiberCell<{ 32 * 1024 }> = FiberCell::new();
pub static CLUMSY: GuardedFiberPool<{ 32 * 1024 }, 2> = GuardedFiberPool::new();

/// What was typed and not read yet. The interrupt handler of the serial port fills it.
pub static KEYS: Channel<u8, 64> = Channel::new();

const fn platform() -> BareX86_64<Ticks> {
    // SAFETY: no handler of this kernel turns interrupts on.
    unsafe { BareX86_64::new(Ticks) }
}

/// Called when something goes wrong.
struct Log;

impl Hooks for Log {
    fn report(&self, report: &Report<'_>) {
        println!("{report}");
    }
}

/// Runs the kernel. All physical memory is mapped from `physical_memory_at` on.
pub fn main(physical_memory_at: VirtAddr) -> ! {
    machine::init(physical_memory_at);
    SCHEDULER.set_hooks(&Log).expect("the first ones");

    let fibers: [(_, _, fn()); 3] = [
        ("clock", &CLOCK, clock),
        ("keyboard", &KEYBOARD, keyboard),
        ("tester", &TESTER, tester),
    ];
    for (name, cell, body) in fibers {
        let fiber = SCHEDULER.builder().name(name).spawn(cell, body);
        fiber.expect("the cell is free").detach();
    }
    SCHEDULER.run(); // until all fibers have ended
    println!("kernel: all fibers have ended");
    machine::power_off()
}

/// Waits for the timer.
fn clock() {
    for tick in 1..=3 {
        scheduler::sleep(Duration::from_millis(100)).expect("nobody cancels it");
        println!("clock: {tick}");
    }
}

/// Waits for the serial port's interrupt.
fn keyboard() {
    println!("keyboard: press keys, and q to end");
    while let Ok(key) = KEYS.recv() {
        println!("keyboard: {:?}", char::from(key));
        if key == b'q' {
            break;
        }
    }
}

/// Waits for fibers that will not end well.
fn tester() {
    let fibers: [(_, fn()); 2] = [
        ("careless", || panic!("on purpose")),
        ("deep", || _ = core::hint::black_box(deeper(0))),
    ];
    for (name, body) in fibers {
        let fiber = SCHEDULER.builder().name(name).spawn(&CLUMSY, body);
        let error = fiber.expect("a cell is free").join().expect_err("it fails");
        println!("tester: {error}");
    }
}

/// Calls itself until the stack is used up.
fn deeper(depth: u64) -> u64 {
    let here = core::hint::black_box([depth; 64]);
    if here[0] == u64::MAX {
        0
    } else {
        1 + deeper(here[0] + 1) + here[63]
    }
}

/// Stops the kernel, because of something that is not one fiber's fault.
pub fn die(what: impl fmt::Display, why: impl fmt::Display) -> ! {
    println!("kernel: {what}\nkernel: {why}");
    machine::fail()
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let why = fiber_panicked(info); // returns if it is not one fiber's panic
    die(info, why)
}
