//! Watchpoints for kernels without paging: a debug register follows the running fiber, and the
//! write to its stack's canary raises `#DB`. This module is there with the feature `x86_64`.
//!
//! The kernel chooses this with the switch hook of its platform. Without a hook it costs nothing:
//!
//! ```ignore
//! unsafe impl Platform for Mine {
//!     fn switch_hook(&self) -> Option<SwitchHook> {
//!         Some(watch::on_switch::<0>) // DR0
//!     }
//! }
//! ```
//!
//! Alternatively the kernel's own hook calls [`on_switch`]. It uses the debug register with that
//! number for the address and its bits in DR7, and leaves all others alone. A kernel, or a debugger
//! in it, can therefore use the other three. The register is enabled while a fiber runs, and
//! disabled in the scheduler's own context. The handler of `#DB` needs a stack of its own (an IST
//! entry), because the fiber's stack has just ended. It calls
//! [`exceptions::handle`](crate::exceptions::handle).
//!
//! The processor checks what is written, not what is used. A frame that skips the eight bytes is
//! therefore noticed only by the checks at the next switch. The exception is raised after the
//! instruction that wrote (Intel SDM, volume 3, 17.3.1.1).

use crate::scheduler::task::header::Header;
use crate::stack::canary_address;
use core::ptr;
use x86_64::registers::debug::{
    BreakpointCondition, BreakpointSize, DebugAddressRegister, DebugAddressRegisterNumber, Dr0,
    Dr1, Dr2, Dr3, Dr6, Dr6Flags, Dr7, Dr7Flags,
};

/// Follows the fiber that is about to run: the debug register `REGISTER`, 0 to 3, watches its
/// canary from now on. This is a [`SwitchHook`](crate::platform::SwitchHook).
///
/// # Context
///
/// Called from: scheduler.
pub fn on_switch<const REGISTER: u8>(prev: *const u8, next: *const u8) {
    const { assert!(REGISTER < 4, "debug registers for addresses are DR0 to DR3") };
    // SAFETY: the scheduler's addresses within stacks of fibers are those of headers, which stay
    // for good.
    let Some(next) = (unsafe { next.cast::<Header>().as_ref() }) else {
        return turn::<REGISTER>(false);
    };
    // SAFETY: it has a fiber.
    let address = canary_address(unsafe { Header::stack(next) }) as u64;
    match REGISTER {
        0 => Dr0::write(address),
        1 => Dr1::write(address),
        2 => Dr2::write(address),
        _ => Dr3::write(address),
    }
    if ptr::eq(prev, ptr::null()) {
        turn::<REGISTER>(true);
    }
}

/// Turns the watchpoint on or off, for writes to eight bytes.
fn turn<const REGISTER: u8>(is_on: bool) {
    let number = number(REGISTER);
    let mut dr7 = Dr7::read();
    dr7.set_condition(number, BreakpointCondition::DataWrites);
    dr7.set_size(number, BreakpointSize::Length8B);
    // "Local" is only about task switches of 32-bit mode.
    dr7.set_flags(Dr7Flags::global_breakpoint_enable(number), is_on);
    Dr7::write(dr7);
}

/// Returns the address of the watchpoint that raised this `#DB`, or 0 if none did. Clears its bit,
/// because the processor only ever sets bits.
pub(crate) fn hit() -> u64 {
    let status = Dr6::read();
    for register in 0..4 {
        let is_ours = Dr7::read().condition(number(register)) == BreakpointCondition::DataWrites;
        if is_ours && status.contains(Dr6Flags::trap(number(register))) {
            forget(register);
            return match register {
                0 => Dr0::read(),
                1 => Dr1::read(),
                2 => Dr2::read(),
                _ => Dr3::read(),
            };
        }
    }
    0
}

/// Clears one of the bits in DR6 that say what raised a `#DB`.
fn forget(register: u8) {
    let status = Dr6::read_raw() & !Dr6Flags::trap(number(register)).bits();
    // SAFETY: DR6 is for the handlers of `#DB`, one of which calls us.
    unsafe {
        core::arch::asm!("mov dr6, {}", in(reg) status, options(nomem, nostack, preserves_flags));
    }
}

const fn number(register: u8) -> DebugAddressRegisterNumber {
    DebugAddressRegisterNumber::new(register).expect("0 to 3")
}
