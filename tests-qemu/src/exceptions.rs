//! CPU exceptions: a test takes them over, or promised them, or has failed, and then all registers are reported.
//!
//! The entry code is in `entry.s`; its unwind tables are right at every instruction, so that a backtrace from a hook
//! goes on in the code that was interrupted, whatever instruction that was.

pub(crate) mod tables;

use core::{
    arch::global_asm,
    ptr,
    sync::atomic::{AtomicPtr, Ordering},
};

use x86_64::{VirtAddr, registers::control::Cr2, structures::paging::Translate as _};

use crate::{
    paging,
    protocol::{STACK_WORDS, STACK_WORDS_MOST},
    run::Harness,
};

/// The exception's name as the manuals have it.
pub use kfiber_test::faults::name;

global_asm!(include_str!("exceptions/entry.s"));

/// Number of interrupt vectors that have an entry. The others raise `#GP`.
pub const VECTORS: usize = 48;
/// Vector of the LAPIC's timer.
pub const TIMER_VECTOR: u8 = 32;
/// Vector of the first serial port.
pub const SERIAL_VECTOR: u8 = 33;
/// Vector of the LAPIC's spurious interrupts (old ones demand that the low four bits are set).
pub const SPURIOUS_VECTOR: u8 = 47;

/// Selector of the segment for user data, whose code segment comes next.
pub const USER_DATA: u16 = 0x2b;
/// Selector of the segment for user code.
pub const USER_CODE: u16 = 0x33;

/// The registers at the moment of an exception or interrupt, as kfiber has them. The harness fills the frame by its own
/// entry code, so that it sees faults whatever kfiber's stubs do.
pub use kfiber::exceptions::TrapFrame;

/// A function that takes over a vector. When it returns, the interrupted code goes on with the registers in the frame.
pub type Hook = fn(&mut TrapFrame);

static HOOKS: [AtomicPtr<()>; VECTORS] = [const { AtomicPtr::new(ptr::null_mut()) }; VECTORS];

pub(crate) fn init() {
    tables::init();
}

/// Returns the address of the task state segment, in which `rsp0` may be changed.
#[must_use]
pub fn task_state_segment() -> u64 {
    tables::task_state_segment()
}

/// Has a vector enter elsewhere than in this module, from now on.
///
/// # Safety
///
/// At `entry` is code that takes what the processor pushes for this vector, and ends with `iretq`.
pub unsafe fn set_entry(vector: u8, entry: unsafe extern "sysv64" fn()) {
    // SAFETY: The caller's promise.
    unsafe { set_entry_on(vector, entry, None) };
}

/// The same, on a stack of the interrupt stack table: 0 is that of `#DF`, 3 of `#DB`, 4 of `#PF`, 5 of other exceptions.
///
/// # Safety
///
/// As for [`set_entry`].
pub unsafe fn set_entry_on(vector: u8, entry: unsafe extern "sysv64" fn(), stack: Option<u16>) {
    // SAFETY: The caller's promise.
    unsafe { tables::set_gate(vector, entry as usize as u64, stack) };
}

/// Lets `hook` handle `vector` from now on. It runs with interrupts disabled, and for exceptions on a stack of its own
/// (see `tables.rs`), except `#BP` and `#OF`, which like interrupts use the stack that they interrupt.
///
/// # Panics
///
/// Panics if the vector has no entry.
pub fn hook(vector: u8, hook: Hook) {
    HOOKS[usize::from(vector)].store(hook as *mut (), Ordering::Release);
}

/// Gives `vector` back: the exception is reported as a fault again.
///
/// # Panics
///
/// Panics if the vector has no entry.
pub fn unhook(vector: u8) {
    HOOKS[usize::from(vector)].store(ptr::null_mut(), Ordering::Release);
}

/// Called by the assembly, on the stack that the vector asks for.
#[unsafe(no_mangle)]
extern "C" fn kfiber_test_on_trap(frame: &mut TrapFrame) {
    let index = usize::try_from(frame.vector).unwrap_or(usize::MAX);
    let hook = HOOKS
        .get(index)
        .map_or(ptr::null_mut(), |hook| hook.load(Ordering::Acquire));
    if hook.is_null() {
        report(frame);
    }
    // SAFETY: `hook` above made it from such a function.
    let hook: Hook = unsafe { core::mem::transmute(hook) };
    if kfiber::trace::is_traced(frame.vector) {
        kfiber::trace::interrupt_in(frame.vector);
        hook(frame);
        kfiber::trace::interrupt_out();
    } else {
        hook(frame);
    }
}

/// Ends the run: as passed if the test promised this exception, else as a fault.
///
/// A hook calls it for what it does not want to handle.
pub fn report(frame: &TrapFrame) -> ! {
    let TrapFrame {
        vector,
        error_code,
        rip,
        rsp,
        rbp,
        ..
    } = frame;
    let cr2 = Cr2::read_raw();
    let details =
        format_args!("error={error_code:#x} rip={rip:#x} rsp={rsp:#x} rbp={rbp:#x} cr2={cr2:#x}");
    kfiber_test::run::fault(&Harness, *vector, *rip, details, || {
        crate::println!("{frame}");
        print_stack(*rsp);
    })
}

/// Prints the words at the stack pointer, by which the runner finds the callers.
fn print_stack(rsp: u64) {
    // SAFETY: the run ends here: whoever used the table does not go on.
    let table = unsafe { paging::table() };
    crate::print!("{STACK_WORDS}");
    for word in 0..STACK_WORDS_MOST {
        let address = rsp.wrapping_add(8 * word);
        let is_mapped = VirtAddr::try_new(address).is_ok_and(|address| {
            address.is_aligned(8_u64) && table.translate_addr(address).is_some()
        });
        if !is_mapped {
            break;
        }
        // SAFETY: mapped and aligned, so that it lies in one page; any bits are a number.
        let value = unsafe { (address as *const u64).read_volatile() };
        crate::print!(" {value:#x}");
    }
    crate::println!();
}
