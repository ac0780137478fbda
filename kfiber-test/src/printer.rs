//! The whole set-up of a kernel that only lends a way to print: three calls.

use core::fmt;
use core::panic::PanicInfo;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use crate::protocol::LOADED;
use crate::run::{self, Kernel};
use crate::{registry, request};

/// The kernel's way to print, as a pointer that [`run_if_asked`] made from a function.
static PRINT: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

/// A kernel that can print, and of which nothing else is known.
struct Printer;

impl Kernel for Printer {
    fn print_line(&self, text: fmt::Arguments<'_>) {
        let print = PRINT.load(Ordering::Acquire);
        if !print.is_null() {
            // SAFETY: `run_if_asked` made it from such a function.
            let print: fn(fmt::Arguments<'_>) = unsafe { core::mem::transmute(print) };
            // The kernel may be in the middle of a line, and its function may leave the line open.
            print(format_args!("\n{text}\n"));
        }
    }
}

/// Runs the test that `cargo kfiber test` asks for, and ends the machine. Returns if nobody asks for one.
///
/// `print` prints text to the serial port that QEMU connects to the runner, the first one in most kernels. It is called from the
/// panic handler and from exception handlers too, so it must not wait for a lock that the code before may hold.
///
/// # Context
///
/// To be called once, on the core that boots, when the kernel can print and its exceptions have handlers. It needs I/O privilege.
/// It may be called from a fiber, whose stack must then suffice for the test.
pub fn run_if_asked(print: fn(fmt::Arguments<'_>)) {
    if let Some(words) = request::words() {
        PRINT.store(print as *mut (), Ordering::Release);
        let tests = registry::tests().as_ptr().addr();
        Printer.print_line(format_args!(
            "{LOADED}__start_kfiber_tests is at {tests:#x}"
        ));
        run::one_test(&Printer, words);
    }
}

/// Ends the run of a test with a panic. Returns if no test runs.
///
/// # Context
///
/// To be called by the panic handler, before `kfiber::scheduler::fiber_panicked`, which does not return if it ends one fiber alone.
/// A kernel whose tests let fibers panic calls it behind that, and declares these tests with
/// [`fibers_may_fail`](crate::registry::Test::fibers_may_fail).
pub fn panicked(info: &PanicInfo<'_>) {
    if run::current().is_some() {
        run::panic(&Printer, info);
    }
}

/// Ends the run of a test with an exception. Returns if no test runs.
///
/// `vector` is the exception's number, `rip` the instruction that raised it, and `report` is shown to a person: all registers, for
/// instance.
///
/// # Context
///
/// To be called by the exception handler, where the kernel gives up.
pub fn faulted(vector: u64, rip: u64, report: fmt::Arguments<'_>) {
    if run::current().is_some() {
        let show = || Printer.print_line(report);
        run::fault(&Printer, vector, rip, format_args!("rip={rip:#x}"), show);
    }
}

/// Ends the run of a test as passed, where it cannot return: in a hook, for instance, or when the scheduler would never end.
///
/// # Panics
///
/// Panics if no test runs.
pub fn pass() -> ! {
    assert!(run::current().is_some(), "no test runs");
    run::pass(&Printer)
}
