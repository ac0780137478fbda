//! Puts the handlers of all exceptions that code can cause into a table.

use super::stubs;
use crate::scheduler::FatalReason;
use crate::trap::TrapFrame;
use core::sync::atomic::{AtomicPtr, Ordering};
use x86_64::VirtAddr;
use x86_64::structures::idt::{Entry, InterruptDescriptorTable};

/// The function that is called when an exception is fatal. It usually prints both and stops.
pub type OnFatal = fn(frame: &TrapFrame, why: FatalReason) -> !;

/// What was given to `install`, or null.
static ON_FATAL: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());

/// The stacks on which exceptions are handled: indexes into the interrupt stack table of the task
/// state segment, from 0 to 6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExceptionStacks {
    /// The stack of `#DF`. No other vector may use it.
    pub double_fault: u16,
    /// The stack of `#PF`.
    pub page_fault: u16,
    /// The stack of `#DB`.
    pub debug: u16,
    /// The stack of all other exceptions. With `None` they are handled on the stack of the fiber
    /// that caused them. An exception at the very end of a stack is then a `#PF`.
    pub others: Option<u16>,
}

impl ExceptionStacks {
    /// Returns these indexes. All other exceptions are handled on the stack of the fiber.
    #[must_use]
    pub const fn new(double_fault: u16, page_fault: u16, debug: u16) -> Self {
        Self {
            double_fault,
            page_fault,
            debug,
            others: None,
        }
    }

    /// Returns the same, with a stack for the other exceptions.
    #[must_use]
    pub const fn with_others(mut self, others: u16) -> Self {
        self.others = Some(others);
        self
    }
}

/// Puts entries into the gates of all exceptions that code can cause. Each of them calls
/// [`handle`](super::handle), and if the exception is fatal, `on_fatal`.
///
/// These are `#DE`, `#DB`, `#BP`, `#OF`, `#BR`, `#UD`, `#NM`, `#DF`, `#TS`, `#NP`, `#SS`, `#GP`,
/// `#PF`, `#MF`, `#AC`, `#XM` and `#CP`. The gates of NMI, `#MC` and the interrupts stay as they are.
/// A gate that is set afterwards replaces the one that is set here.
///
/// Several tables may be given, for instance one for each core. The last `on_fatal` is the one for
/// all of them.
///
/// # Panics
///
/// Panics if an index is above 6, or if `#DF` has the same stack as another vector.
///
/// # Safety
///
/// When the table is in use, the task state segment of its core has a stack with each of the
/// indexes, which nothing else uses, and which is large enough: see [the
/// module](super#which-stacks). The code segment that is in use now is the kernel's, and stays so. At
/// no exception does the core hold a lock that the hooks or `on_fatal` take.
///
/// # Context
///
/// Callable from: boot code. Blocks: nothing.
pub unsafe fn install(
    idt: &mut InterruptDescriptorTable,
    stacks: ExceptionStacks,
    on_fatal: OnFatal,
) {
    let ExceptionStacks {
        double_fault,
        page_fault,
        debug,
        others,
    } = stacks;
    assert!(
        ![Some(page_fault), Some(debug), others].contains(&Some(double_fault)),
        "a double fault needs a stack that no other exception uses"
    );
    ON_FATAL.store(on_fatal as *mut (), Ordering::Relaxed);
    set(&mut idt.divide_error, stubs::divide_error, others);
    set(&mut idt.debug, stubs::debug, Some(debug));
    set(&mut idt.breakpoint, stubs::breakpoint, others);
    set(&mut idt.overflow, stubs::overflow, others);
    set(&mut idt.bound_range_exceeded, stubs::bound_range, others);
    set(&mut idt.invalid_opcode, stubs::invalid_opcode, others);
    set(
        &mut idt.device_not_available,
        stubs::no_floating_point,
        others,
    );
    set(
        &mut idt.double_fault,
        stubs::double_fault,
        Some(double_fault),
    );
    set(&mut idt.invalid_tss, stubs::invalid_task_state, others);
    set(
        &mut idt.segment_not_present,
        stubs::segment_not_present,
        others,
    );
    set(&mut idt.stack_segment_fault, stubs::stack_segment, others);
    set(
        &mut idt.general_protection_fault,
        stubs::general_protection,
        others,
    );
    set(&mut idt.page_fault, stubs::page_fault, Some(page_fault));
    set(&mut idt.x87_floating_point, stubs::x87, others);
    set(&mut idt.alignment_check, stubs::alignment_check, others);
    set(&mut idt.simd_floating_point, stubs::simd, others);
    set(
        &mut idt.cp_protection_exception,
        stubs::control_protection,
        others,
    );
}

fn set<F>(gate: &mut Entry<F>, stub: unsafe extern "sysv64" fn(), stack: Option<u16>) {
    *gate = Entry::missing();
    let address = VirtAddr::new(stub as *const () as u64);
    // SAFETY: the stub was made for this vector, and the rest is the promise of `install`'s caller.
    let options = unsafe { gate.set_handler_addr(address) };
    if let Some(index) = stack {
        assert!(
            index < 7,
            "the interrupt stack table has seven entries, from 0 to 6"
        );
        // SAFETY: the promise of `install`'s caller.
        unsafe { options.set_stack_index(index) };
    }
}

/// Handles an exception for the stubs.
pub(super) fn on_exception(frame: &mut TrapFrame) {
    // SAFETY: a stub calls this at once, and returns with the frame. The rest is the promise of
    // `install`'s caller.
    if let Err(why) = unsafe { super::handle(frame) } {
        let on_fatal = ON_FATAL.load(Ordering::Relaxed);
        // SAFETY: `install` stored such a function before a gate had the stub.
        let on_fatal: OnFatal = unsafe { core::mem::transmute::<*mut (), OnFatal>(on_fatal) };
        on_fatal(frame, why);
    }
}
