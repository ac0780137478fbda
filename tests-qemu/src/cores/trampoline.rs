//! Starts one further core by INIT and SIPI (Intel SDM, volume 3A, section 9.4, "Multiple-Processor Initialization").
//!
//! The harness starts one core after the other, each at the identity that the firmware names, and tells which one did not
//! begin. A kernel need not: `kernels/pvh/src/start_cores.rs` and `other_core.s` start all of them at once, and are there to
//! be copied.

use core::{arch::global_asm, ptr};

use crate::{
    apic::{self, Message},
    interrupts,
};

/// Where the trampoline runs. Free from the moment that the kernel starts: firmware and loader leave nothing there that
/// is still needed.
const PAGE: usize = 4096 * PAGE_NUMBER as usize;
/// Number of that page, which is all that SIPI says.
const PAGE_NUMBER: u8 = 8;

/// As long as the manual wants between INIT and the first SIPI.
const AFTER_INIT_NS: u32 = 10_000_000;
/// As long as the manual wants after the first SIPI. A core that has not begun by then is sent another one.
const AFTER_SIPI_NS: u32 = 200_000;

global_asm!(include_str!("trampoline.s"), page = const PAGE, options(att_syntax));

unsafe extern "C" {
    static kfiber_test_trampoline: u8;
    static kfiber_test_trampoline_stack: u8;
    static kfiber_test_trampoline_end: u8;
}

/// Copies the trampoline to its page.
pub(super) fn install() {
    let start = &raw const kfiber_test_trampoline;
    let length = &raw const kfiber_test_trampoline_end as usize - start as usize;
    // SAFETY: The page is free and mapped, and the trampoline is shorter than a page.
    unsafe { ptr::copy_nonoverlapping(start, PAGE as *mut u8, length) };
}

/// Starts the core whose APIC has this identity on this stack, and returns whether `has_begun` became true in time.
///
/// # Safety
///
/// The trampoline is installed, the core is not running, and nobody else uses the stack, whose top is aligned to 16.
pub(super) unsafe fn start(apic_id: u32, stack_top: *mut u8, has_begun: impl Fn() -> bool) -> bool {
    let offset = &raw const kfiber_test_trampoline_stack as usize
        - &raw const kfiber_test_trampoline as usize;
    // SAFETY: The word lies in the copy, which is aligned as the original is, and no core executes it now.
    unsafe { ((PAGE + offset) as *mut *mut u8).write_volatile(stack_top) };
    apic::send(apic_id, Message::Init);
    interrupts::wait_polling(AFTER_INIT_NS);
    // A core that has begun ignores the second one.
    for _ in 0..2 {
        apic::send(apic_id, Message::Startup(PAGE_NUMBER));
        interrupts::wait_polling(AFTER_SIPI_NS);
        if has_begun() {
            return true;
        }
    }
    // The host may be busy, and run this core's thread late.
    (0..PATIENCE).any(|_| {
        interrupts::wait_polling(AFTER_INIT_NS);
        has_begun()
    })
}

/// How often to look for a late core, every [`AFTER_INIT_NS`].
const PATIENCE: u32 = 500;
