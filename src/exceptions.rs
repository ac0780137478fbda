//! One way in for interrupts and exceptions, on stable Rust: stubs with exact unwind rules, and one
//! call that decides what an exception means.
//!
//! A kernel that has nothing of its own in its exception handlers needs one call:
//!
//! ```ignore
//! use kfiber::exceptions::{self, ExceptionStacks, TrapFrame};
//! use kfiber::scheduler::{FatalReason, PrintReports, fiber_panicked};
//!
//! static REPORTS: PrintReports<Serial> = PrintReports::new(Serial);
//!
//! fn init(idt: &'static mut InterruptDescriptorTable) {
//!     SCHEDULER.set_hooks(&REPORTS).expect("they are the first");
//!     // SAFETY: the task state segment has a stack with each of these indexes.
//!     unsafe { exceptions::install(idt, ExceptionStacks::new(0, 1, 2), stop) };
//!     idt.load();
//! }
//!
//! fn stop(frame: &TrapFrame, why: FatalReason) -> ! {
//!     REPORTS.print(format_args!("exception {}: {why}\n{frame}", frame.vector));
//!     loop {}
//! }
//!
//! #[panic_handler]
//! fn on_panic(info: &PanicInfo<'_>) -> ! {
//!     let why = fiber_panicked(info); // does not return if the panic was one fiber's
//!     REPORTS.print(format_args!("{info}\nfatal: {why}"));
//!     loop {}
//! }
//! ```
//!
//! A kernel without descriptor tables puts [`Tables`] into a static instead. They contain what
//! `install` needs, and the handlers of interrupts too. `install` and [`Tables`] are there with the
//! feature `x86_64`, and so is [`handle_x86_interrupt`]. [`handle`] and entries of the kernel's own
//! need no feature.
//!
//! A kernel that treats some exceptions itself makes entries for them with
//! [`interrupt_entry!`](crate::interrupt_entry), and calls [`handle`] for the others. A kernel
//! whose handlers have the type `extern "x86-interrupt" fn`, which needs a nightly compiler, calls
//! [`handle_x86_interrupt`].
//!
//! # Which stacks
//!
//! Handlers run on the stack of the interrupted fiber, unless their gate has an entry of the
//! interrupt stack table (IST). `#PF` and `#DF` need one, and so does `#DB` with watchpoints: see
//! [the chapter on overflows](crate::scheduler::overflow). An exception handler calls the
//! [`Hooks`](crate::scheduler::Hooks), which format text, so its stack should have 16 KiB, and
//! 64 KiB in a debug build. Each core needs stacks of its own.
//!
//! # User mode
//!
//! A fiber may enter user mode, with its own stack as the stack for interrupts (`rsp0` in the task
//! state segment). An exception of the user code then ends this fiber, and not the kernel: it is
//! the process. A system call is not an interrupt handler: its code is the fiber's, so it may turn
//! interrupts on, and wait.

#[cfg(feature = "x86_64")]
mod install;
#[cfg(feature = "x86_64")]
mod stubs;
#[cfg(feature = "x86_64")]
mod tables;

pub use crate::trap::TrapFrame;
#[cfg(feature = "x86_64")]
pub use install::{ExceptionStacks, OnFatal, install};
#[cfg(feature = "x86_64")]
pub use tables::Tables;

#[doc(hidden)]
pub use crate::trap::{has_error_code, no_error_code};

use crate::scheduler::FatalReason;
use crate::scheduler::cpu::current;
use crate::scheduler::fail::{contain, trap};
use crate::scheduler::overflow::Overflow;
use crate::scheduler::run_loop::RunLoop;
#[cfg(feature = "x86_64")]
use x86_64::structures::idt::InterruptStackFrame;

/// Decides what an exception means, and does what is to be done.
///
/// - If a fiber has overflowed its stack, the overflow is reported and the fiber ends.
/// - If a fiber caused the exception otherwise, in the kernel or in user mode, that is reported and
///   the fiber ends.
/// - In all other cases the exception is fatal.
///
/// If the fiber ends, `frame` is changed so that returning from the exception leads to another
/// fiber. Nothing on the stack of the fiber is used, so that may be exhausted. The address of a page
/// fault is read from CR2, and that of a watchpoint from the debug registers, so call this before
/// anything else can fault.
///
/// ```ignore
/// kfiber::interrupt_entry! {
///     fn page_fault(frame: &mut TrapFrame) vector(14) {
///         if is_mapped_on_demand(frame) {
///             return;
///         }
///         // SAFETY: it was just raised, nothing was locked, and the entry returns with this frame.
///         if let Err(why) = unsafe { exceptions::handle(frame) } {
///             stop(frame, why)
///         }
///     }
/// }
/// ```
///
/// A double fault (`#DF`) ends a fiber only if its stack has overflowed. What the processor was
/// doing otherwise is unknown. With an IST stack for `#PF`, an overflow causes none.
///
/// # Errors
///
/// Returns the reason why the exception is fatal. The frame is then unchanged. An overflow in an
/// interrupt handler is reported before, and can be [ended](end_overflowed) nevertheless.
///
/// # Safety
///
/// The exception has just been raised on this core. `frame` has the registers of the interrupted
/// code, and returning from the exception uses what is in it then. The handler runs with interrupts
/// off and holds no lock. It was not called inside another handler of interrupts or exceptions that
/// interrupted the same fiber.
///
/// # Context
///
/// Callable from: exception handler, on any stack. Blocks: nothing.
pub unsafe fn handle(frame: &mut TrapFrame) -> Result<(), FatalReason> {
    let address = trap::address_of(frame);
    // SAFETY: the caller's promise.
    unsafe { contain::contain(frame, address) }
}

/// Does what [`handle`] does, for a handler of type `extern "x86-interrupt" fn`.
///
/// Such a handler has the frame as a parameter by value. The compiler considers what is written to
/// it as unused, and removes plain stores. This function therefore writes with volatile stores. The
/// value must be the parameter itself and not a copy:
///
/// ```ignore
/// extern "x86-interrupt" fn page_fault(mut frame: InterruptStackFrame, error: PageFaultErrorCode) {
///     // SAFETY: it was just raised, nothing was locked, and `frame` is the handler's parameter.
///     if let Err(why) = unsafe { handle_x86_interrupt(&mut frame, 14, error.bits()) } {
///         stop(why)
///     }
/// }
/// ```
///
/// `error_code` is 0 for vectors without one. The frame pointer of the interrupted code is not known
/// here, so the report of an overflow has no backtrace. The type of a `#DF` handler returns never,
/// so that can only report: give `#PF` an IST stack.
///
/// # Errors
///
/// As for [`handle`].
///
/// # Safety
///
/// As for [`handle`].
///
/// # Context
///
/// As for [`handle`].
#[cfg(feature = "x86_64")]
#[inline]
pub unsafe fn handle_x86_interrupt(
    frame: &mut InterruptStackFrame,
    vector: u8,
    error_code: u64,
) -> Result<(), FatalReason> {
    let pushed: *mut [u64; 5] = core::ptr::from_mut(frame).cast();
    // SAFETY: the frame is the five words that the processor pushes.
    let [rip, cs, rflags, rsp, ss] = unsafe { pushed.read_volatile() };
    let mut whole = TrapFrame {
        vector: vector.into(),
        error_code,
        rip,
        cs,
        rflags,
        rsp,
        ss,
        ..TrapFrame::default()
    };
    // SAFETY: the caller's promise; the frame is written below. The other registers are of no use to
    // what continues.
    unsafe { handle(&mut whole) }?;
    let TrapFrame {
        rip,
        cs,
        rflags,
        rsp,
        ss,
        ..
    } = whole;
    // SAFETY: as above.
    unsafe { pushed.write_volatile([rip, cs, rflags, rsp, ss]) };
    Ok(())
}

/// Returns the overflow if an exception with these registers, about this address, were one of the
/// running fiber. Reports nothing, and changes nothing.
///
/// `address` is what CR2 holds for `#PF` and `#DF`, and the address of the watchpoint for `#DB`.
///
/// This function reads only control blocks and the running fiber's own stack. Wrong registers
/// therefore lead to a wrong answer, but do no harm.
///
/// # Context
///
/// Callable from: exception handler, fiber. Takes no lock. Blocks: nothing.
#[must_use]
pub fn overflow_at(frame: &TrapFrame, address: u64) -> Option<Overflow> {
    let fiber = current::get_warily();
    if fiber.is_null() {
        return None;
    }
    // SAFETY: it runs.
    unsafe { RunLoop::of(fiber) }.classify(frame, address)
}

/// Changes the frame so that returning from the exception ends the running fiber, although interrupts
/// were off. Nothing on the stack of the fiber is used any more.
///
/// This is for one case: [`handle`] has returned [`FatalReason::InterruptsOff`] after an overflow in
/// an interrupt handler, and that handler held nothing that others need. An interrupt that it did
/// not acknowledge stays so.
///
/// # Panics
///
/// Panics if no fiber runs.
///
/// # Safety
///
/// As for [`handle`]. The interrupted fiber has overflowed its stack, and everything that was
/// interrupted may be given up.
///
/// # Context
///
/// As for [`handle`].
pub unsafe fn end_overflowed(frame: &mut TrapFrame) {
    assert!(
        !current::get().is_null(),
        "no fiber runs that could be ended"
    );
    // SAFETY: the caller's promise, and a fiber runs.
    unsafe { contain::end_overflowed(frame) };
}
