//! Everything that is counted, after a test of the counter itself.

use core::arch::asm;

use kfiber::scheduler::{FiberCell, Scheduler};
use tests_qemu::platform::Bare;
use tests_qemu::println;

use crate::counter::measure_here;
use crate::{life, states, switches, sync, thread_metric, wakes, yields};

tests_qemu::kernel_test! {
    /// Prints a figure for each operation; the runner judges them.
    fn instructions() icount timeout(120) {
        x86_64::instructions::interrupts::enable();
        test_the_counter();
        #[cfg(all(feature = "trace", not(feature = "smp")))]
        crate::scheduler::RECORDER.start(&crate::scheduler::SCHEDULER);
        switches::measure();
        yields::measure();
        states::measure();
        life::measure();
        wakes::measure();
        sync::measure();
        thread_metric::measure();
        println!("bytes scheduler {}", size_of::<Scheduler<Bare>>());
        println!("bytes beyond_the_stack {}", size_of::<FiberCell<1024>>() - 1024);
    }
}

/// Regions whose length is known. If one reads otherwise, the counter does not count instructions, and nothing below is
/// worth anything: the runner says so.
pub(crate) fn test_the_counter() {
    measure_here("empty", 1, || {});
    measure_here("20_nops", 1, || {
        // SAFETY: it does nothing.
        unsafe { asm!(".rept 20", "nop", ".endr", options(nomem, nostack)) };
    });
    measure_here("1000_times_20", 1, || {
        // SAFETY: it counts down in a register of its own.
        unsafe {
            asm!(
                "mov {0:e}, 1000",
                "2:",
                ".rept 18",
                "nop",
                ".endr",
                "dec {0:e}",
                "jnz 2b",
                out(reg) _,
                options(nomem, nostack),
            );
        }
    });
}
