//! The timer interrupt: the LAPIC's, which every machine has. It runs on the stack that it interrupts.
//!
//! Under QEMU the timer counts nanoseconds; with `-icount shift=0` that is instructions.

use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use x86_64::{instructions::port::Port, registers::model_specific::ApicBase};

use crate::cpu;
use crate::exceptions::{self, SPURIOUS_VECTOR, TIMER_VECTOR, TrapFrame};

const SPURIOUS: u64 = 0xf0;
const END_OF_INTERRUPT: u64 = 0xb0;
const TIMER: u64 = 0x320;
const TIMER_INITIAL_COUNT: u64 = 0x380;
const TIMER_CURRENT_COUNT: u64 = 0x390;
const TIMER_DIVIDER: u64 = 0x3e0;

const SOFTWARE_ENABLE: u32 = 1 << 8;
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
    write(SPURIOUS, SOFTWARE_ENABLE | u32::from(SPURIOUS_VECTOR));
}

/// Whatever the firmware left open: the vectors of the old interrupt controller mean exceptions here.
fn mask_pic() {
    for port in [0x21, 0xa1] {
        let mut port = Port::<u8>::new(port);
        // SAFETY: The mask register of the PIC; nobody here uses the PIC.
        unsafe { port.write(0xff) };
    }
}

fn register(offset: u64) -> *mut u32 {
    let (base, _flags) = ApicBase::read();
    (base.start_address().as_u64() + offset) as *mut u32
}

fn write(offset: u64, value: u32) {
    // SAFETY: A register of the LAPIC, mapped one to one; the callers know its meaning.
    unsafe { register(offset).write_volatile(value) };
}

/// Starts the timer: an interrupt every `period_ns` nanoseconds (on QEMU). Interrupts are enabled by the caller.
///
/// # Panics
///
/// Panics if the period is zero, which would stop the timer.
pub fn start_timer(period_ns: u32) {
    assert!(period_ns > 0, "a timer needs a period");
    write(TIMER_DIVIDER, DIVIDE_BY_1);
    write(TIMER, PERIODIC | u32::from(TIMER_VECTOR));
    write(TIMER_INITIAL_COUNT, period_ns);
}

/// Asks for one interrupt, `delay_ns` nanoseconds from now (on QEMU). For sweeps over every instruction.
///
/// # Panics
///
/// Panics if the delay is zero, which would stop the timer.
pub fn start_one_shot(delay_ns: u32) {
    assert!(delay_ns > 0, "a timer needs a delay");
    write(TIMER_DIVIDER, DIVIDE_BY_1);
    write(TIMER, u32::from(TIMER_VECTOR));
    write(TIMER_INITIAL_COUNT, delay_ns);
}

/// Waits that long (on QEMU), without an interrupt. The timer is stopped afterwards.
pub(crate) fn wait_polling(delay_ns: u32) {
    write(TIMER_DIVIDER, DIVIDE_BY_1);
    write(TIMER, MASKED | u32::from(TIMER_VECTOR));
    write(TIMER_INITIAL_COUNT, delay_ns);
    // SAFETY: A register of the LAPIC, mapped one to one; reading it changes nothing.
    while unsafe { register(TIMER_CURRENT_COUNT).read_volatile() } != 0 {
        core::hint::spin_loop();
    }
}

/// Stops the timer.
pub fn stop_timer() {
    write(TIMER_INITIAL_COUNT, 0);
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
    write(END_OF_INTERRUPT, 0);
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
