//! What ends one fiber, on purpose: `panic`, `fault` and `overflow`; and the calls by which the kernel survives them.

use crate::scheduler::SCHEDULER;
use core::hint::black_box;
use core::panic::PanicInfo;
use kfiber::exceptions::handle;
use kfiber::scheduler::{GuardedFiberPool, fiber_panicked};
use kfiber::stack::{Storage, guard};
use tests_qemu::exceptions::{self, TrapFrame};
use tests_qemu::paging::{FramePool, table};
use tests_qemu::{panic, println};
use x86_64::VirtAddr;

/// Each fiber that fails takes its cell along.
static CELLS: GuardedFiberPool<{ 32 * 1024 }, 6> = GuardedFiberPool::new();

/// Exceptions that a fiber's own code can cause: `#DE`, `#UD`, `#DF`, `#SS`, `#GP`, `#PF`.
const VECTORS: [u8; 6] = [0, 6, 8, 12, 13, 14];

/// To be called at boot: takes the guard pages away, and has panics and exceptions brought here.
pub(crate) fn init() {
    for cell in CELLS.stacks() {
        // SAFETY: the only use of the table in this call.
        let mut table = unsafe { table() };
        let bounds = cell.storage_bounds();
        let level_4 = table.level_4_table_mut();
        // SAFETY: all memory is mapped one to one; nobody uses a guard's memory.
        let unmapped = unsafe { guard::unmap(bounds, level_4, VirtAddr::zero(), &mut FramePool) };
        unmapped.expect("frames are left");
    }
    panic::first(on_panic);
    for vector in VECTORS {
        exceptions::hook(vector, on_exception);
    }
}

/// Returns only if the panic is not one fiber's.
fn on_panic(info: &PanicInfo<'_>) {
    let why = fiber_panicked(info);
    println!("fatal: {why}");
}

fn on_exception(frame: &mut TrapFrame) {
    // SAFETY: the exception has just come, and what the frame says is what is returned to.
    if let Err(why) = unsafe { handle(frame) } {
        println!("fatal: {why}");
        exceptions::report(frame);
    }
}

/// A fiber that panics.
pub(crate) fn panic() {
    end(|| panic!("somebody typed `panic`"));
}

/// A fiber that executes what is no instruction.
pub(crate) fn fault() {
    // SAFETY: it ends here.
    end(|| unsafe { core::arch::asm!("ud2") });
}

/// A fiber that calls itself until its stack is used up.
pub(crate) fn overflow() {
    fn deeper(depth: u64) -> u64 {
        let here = black_box([depth; 64]);
        if here[0] == u64::MAX {
            return 0; // not with this stack
        }
        1 + deeper(here[0] + 1) + here[63]
    }
    end(|| {
        black_box(deeper(0));
    });
}

/// Runs a fiber that will not end well, and says what its joiner hears.
fn end(body: impl FnOnce() + Send + 'static) {
    match SCHEDULER.builder().name("clumsy").spawn(&CELLS, body) {
        Ok(fiber) => match fiber.join() {
            Ok(()) => println!("It ended as if nothing had happened."),
            Err(error) => {
                println!("\nThe shell goes on; it joined the fiber and was told:\n{error}");
            }
        },
        Err(error) => println!("not again: {error}"),
    }
}
