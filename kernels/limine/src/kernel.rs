//! What the kernel does: three fibers, one for each thing that a kernel waits for.

use core::hint::black_box;
use core::panic::PanicInfo;
use core::time::Duration;

use kfiber::hardware::{ApicCores, SerialPort};
use kfiber::scheduler::{self, FiberCell, GuardedFiberPool, PrintReports, Scheduler};
use kfiber::sync::Channel;
use kfiber::x86_64::VirtAddr;

use crate::{cores, machine};

/// All fibers of this kernel.
pub static SCHEDULER: Scheduler<ApicCores<{ cores::COUNT }>, { cores::COUNT }> =
    Scheduler::new(machine::platform());

/// What was typed and not read yet: the serial port's interrupt handler fills it.
pub static KEYS: Channel<u8, 64> = Channel::new();

/// Stacks of fibers, with all that belongs to a fiber.
static CLOCK: FiberCell<{ 32 * 1024 }> = FiberCell::new();
static KEYBOARD: FiberCell<{ 32 * 1024 }> = FiberCell::new();
static TESTER: FiberCell<{ 32 * 1024 }> = FiberCell::new();
/// The same with a guard page below each stack.
pub static CLUMSY: GuardedFiberPool<{ 32 * 1024 }, 2> = GuardedFiberPool::new();

/// Where everything is printed, also what the scheduler reports.
pub static LOG: PrintReports<&SerialPort> = PrintReports::new(&SerialPort::FIRST);

/// Prints a line.
macro_rules! println {
    ($($text:tt)*) => { $crate::kernel::LOG.print(format_args!($($text)*)) };
}
pub(crate) use println;

/// Runs the kernel. All physical memory is mapped from `physical_memory_at` on.
pub fn main(physical_memory_at: VirtAddr) -> ! {
    cores::init();
    SCHEDULER.set_hooks(&LOG).expect("the first ones");
    machine::init(physical_memory_at).expect("the machine is a PC");

    let fibers: [(_, _, fn()); 3] = [
        ("clock", &CLOCK, clock),
        ("keyboard", &KEYBOARD, keyboard),
        ("tester", &TESTER, tester),
    ];
    for (name, cell, body) in fibers {
        let fiber = SCHEDULER.builder().name(name).spawn(cell, body);
        fiber.expect("the cell is free").detach();
    }
    cores::start_others(physical_memory_at);
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

/// Waits for fibers that do not end well.
fn tester() {
    let fibers: [(_, fn()); 2] = [
        ("careless", || panic!("on purpose")),
        ("deep", || _ = black_box(deeper(0))),
    ];
    for (name, body) in fibers {
        let fiber = SCHEDULER.builder().name(name).spawn(&CLUMSY, body);
        let error = fiber.expect("a cell is free").join().expect_err("it fails");
        println!("tester: {error}");
    }
}

/// Calls itself until the stack is used up.
fn deeper(depth: u64) -> u64 {
    let here = black_box([depth; 64]);
    if here[0] == u64::MAX {
        0
    } else {
        1 + deeper(here[0] + 1) + here[63]
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let why = scheduler::fiber_panicked(info); // returns if it is not one fiber's panic
    println!("kernel: {info}\nkernel: {why}");
    machine::fail()
}
