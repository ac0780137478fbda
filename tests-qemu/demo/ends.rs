//! What ends one fiber, on purpose: `panic`, `fault` and `overflow`; and the calls by which the kernel survives them.

use crate::scheduler::SCHEDULER;
use core::hint::black_box;
use core::panic::PanicInfo;
use kfiber::scheduler::overflow::Trap;
use kfiber::scheduler::{self, GuardedFiberPool, fiber_faulted, fiber_panicked};
use kfiber::stack::{Storage, guard};
use tests_qemu::exceptions::{self, TrapFrame};
use tests_qemu::paging::{FramePool, table};
use tests_qemu::{panic, println};
use x86_64::VirtAddr;
use x86_64::registers::control::Cr2;

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
    let vector = u8::try_from(frame.vector).expect("a vector");
    let trap = Trap {
        vector,
        error_code: frame.error,
        rip: frame.rip,
        rsp: frame.rsp,
        rbp: frame.rbp,
        rflags: frame.rflags,
        address: 0,
    };
    if SCHEDULER.on_exception(&trap.with_address()).is_some() {
        let recovery_frame = SCHEDULER.recovery_frame();
        (frame.rip, frame.rsp) = (recovery_frame.rip, recovery_frame.rsp);
        return;
    }
    let error = frame.error;
    let address = if vector == 14 { Cr2::read_raw() } else { 0 };
    let pushed: *mut scheduler::TrapFrame = (&raw mut frame.rip).cast();
    // SAFETY: from `rip` on the frame is what the processor pushed; nobody else uses it now.
    let pushed = unsafe { &mut *pushed };
    // SAFETY: the exception has just come, and what the frame says is what is returned to.
    if let Err(why) = unsafe { fiber_faulted(pushed, vector, error, address) } {
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
