//! The timer interrupt: the LAPIC's, which every machine has. It runs on the stack that it interrupts.
//!
//! Under QEMU the timer counts nanoseconds; with `-icount shift=0` that is instructions.

use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use x86_64::instructions::port::Port;

use crate::apic::{self, Register, read, write};
use crate::cpu;
use crate::exceptions::{self, SPURIOUS_VECTOR, TIMER_VECTOR, TrapFrame};

const MASKED: u32 = 1 << 16;
const PERIODIC: u32 = 1 << 17;
const DIVIDE_BY_1: u32 = 0b1011;

static TICKS: AtomicU64 = AtomicU64::new(0);
static ON_TICK: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());

pub(crate) fn init() {
    mask_pic();
    if !cpu::has_local_apic() {
        return; // a test of machines without
    }
    exceptions::hook(TIMER_VECTOR, tick);
    exceptions::hook(SPURIOUS_VECTOR, |_| {});
    init_core();
}

/// Lets this core receive interrupts of its local APIC.
pub(crate) fn init_core() {
    apic::enable(SPURIOUS_VECTOR);
}

/// Whatever the firmware left open: the vectors of the old interrupt controller mean exceptions here.
fn mask_pic() {
    for port in [0x21, 0xa1] {
        let mut port = Port::<u8>::new(port);
        // SAFETY: The mask register of the PIC; nobody here uses the PIC.
        unsafe { port.write(0xff) };
    }
}

/// Starts the timer: an interrupt every `period_ns` nanoseconds (on QEMU). Interrupts are enabled by the caller.
///
/// # Panics
///
/// Panics if the period is zero, which would stop the timer.
pub fn start_timer(period_ns: u32) {
    assert!(period_ns > 0, "a timer needs a period");
    write(Register::TimerDivider, DIVIDE_BY_1);
    write(Register::Timer, PERIODIC | u32::from(TIMER_VECTOR));
    write(Register::TimerInitialCount, period_ns);
}

/// Asks for one interrupt, `delay_ns` nanoseconds from now (on QEMU). For sweeps over every instruction.
///
/// # Panics
///
/// Panics if the delay is zero, which would stop the timer.
pub fn start_one_shot(delay_ns: u32) {
    assert!(delay_ns > 0, "a timer needs a delay");
    write(Register::TimerDivider, DIVIDE_BY_1);
    write(Register::Timer, u32::from(TIMER_VECTOR));
    write(Register::TimerInitialCount, delay_ns);
}

/// Waits that long (on QEMU), without an interrupt. The timer is stopped afterwards.
pub(crate) fn wait_polling(delay_ns: u32) {
    write(Register::TimerDivider, DIVIDE_BY_1);
    write(Register::Timer, MASKED | u32::from(TIMER_VECTOR));
    write(Register::TimerInitialCount, delay_ns);
    while read(Register::TimerCurrentCount) != 0 {
        core::hint::spin_loop();
    }
}

/// Stops the timer.
pub fn stop_timer() {
    write(Register::TimerInitialCount, 0);
}

/// Calls `handler` at each tick, before the interrupt is acknowledged, with interrupts disabled.
pub fn on_tick(handler: fn(&mut TrapFrame)) {
    ON_TICK.store(handler as *mut (), Ordering::Relaxed);
}

/// Returns the number of timer interrupts so far.
#[must_use]
pub fn ticks() -> u64 {
    TICKS.load(Ordering::Relaxed)
}

/// Tells the LAPIC that the handler is done. The timer's does it itself; other handlers must.
pub fn end_of_interrupt() {
    write(Register::EndOfInterrupt, 0);
}

fn tick(frame: &mut TrapFrame) {
    TICKS.fetch_add(1, Ordering::Relaxed);
    let handler = ON_TICK.load(Ordering::Relaxed);
    if !handler.is_null() {
        // SAFETY: `on_tick` made it from such a function.
        let handler: fn(&mut TrapFrame) = unsafe { core::mem::transmute(handler) };
        handler(frame);
    }
    end_of_interrupt();
}
