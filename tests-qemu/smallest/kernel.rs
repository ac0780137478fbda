//! All there is: the entry from the boot code, a scheduler without a timer, two fibers, and the end.

use core::arch::{asm, global_asm};
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicU32, Ordering};

use kfiber::platform::{BareX86_64, Nanoseconds, Timer};
use kfiber::scheduler::{FiberCell, Scheduler, yield_now};
use x86_64::instructions::{interrupts, port::Port};

// The way into long mode is the harness's, and not counted.
global_asm!(include_str!("../src/boot.s"), stack_size = const 16384);

/// Nobody sleeps here, so it only has to be a clock.
struct Clock;

impl Timer for Clock {
    fn now(&self) -> Nanoseconds {
        // SAFETY: every x86_64 processor has the counter, and ring 0 may always read it.
        unsafe { core::arch::x86_64::_rdtsc() }
    }

    fn interrupt_at(&self, _: Nanoseconds) {}
}

static SCHEDULER: Scheduler<BareX86_64<Clock>> = Scheduler::new(platform());
static CELLS: [FiberCell<2048>; 2] = [const { FiberCell::new() }; 2];
static TURNS: AtomicU32 = AtomicU32::new(0);

const fn platform() -> BareX86_64<Clock> {
    // SAFETY: there are no interrupt handlers.
    unsafe { BareX86_64::new(Clock) }
}

/// Called by the boot code. Ends with success if the two took turns.
#[unsafe(no_mangle)]
extern "C" fn kfiber_test_rust_entry() -> ! {
    // No handlers, so no interrupts; the scheduler only wants to see that it may wait.
    mask(0x21);
    mask(0xa1);
    interrupts::enable();
    let [first, second] = &CELLS;
    start(first, 0);
    start(second, 1);
    SCHEDULER.run_until_idle();
    exit(if TURNS.load(Ordering::Relaxed) == 20 {
        0x10
    } else {
        0x11
    })
}

/// Masks what one of the two old interrupt controllers lets through, which the firmware left open.
fn mask(port: u16) {
    // SAFETY: its mask register.
    unsafe { Port::<u8>::new(port).write(0xff) };
}

/// Spawns a fiber that takes every other turn. Called twice, so that the code of a spawn is there once.
#[inline(never)]
fn start(cell: &'static FiberCell<2048>, own: u32) {
    let fiber = SCHEDULER.spawn(cell, move || {
        for turn in 0..10 {
            if TURNS.fetch_add(1, Ordering::Relaxed) != 2 * turn + own {
                exit(0x11);
            }
            yield_now();
        }
    });
    if fiber.is_err() {
        exit(0x11);
    }
}

/// Ends QEMU by its exit device.
fn exit(value: u32) -> ! {
    // SAFETY: the runner puts the device at this port, and nothing else is there.
    unsafe { Port::new(0xf4).write(value) };
    loop {
        // SAFETY: it only waits.
        unsafe { asm!("hlt") };
    }
}

/// A kernel this small has no words for it: the status says that it went wrong.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    exit(0x11)
}
