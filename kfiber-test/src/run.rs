//! Runs the one test that is asked for, and judges how it ended: by returning, by a panic, or by an exception.

use core::fmt;
use core::panic::PanicInfo;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use crate::protocol::{
    EXPECT_FAULT, EXPECT_PANIC, FAIL, FAULT, PANIC, PASS, PREFIX, RUN, TEST_KEY,
};
use crate::registry::{Test, tests};
use crate::search::{OneLine, contains};
use crate::{exit, faults, words};

static CURRENT: AtomicPtr<Test> = AtomicPtr::new(ptr::null_mut());

/// The number of the core that ends the run.
static ENDS_ON: AtomicUsize = AtomicUsize::new(NO_CORE);
const NO_CORE: usize = usize::MAX;

/// What a kernel lends to its tests.
pub trait Kernel {
    /// Prints text on lines of its own to the serial port that the runner reads.
    ///
    /// It is called from panic handlers and exception handlers too, so it must not wait for a lock.
    fn print_line(&self, text: fmt::Arguments<'_>);

    /// Returns how many lines were sent, those included that the next call of [`print_line`](Self::print_line) ends first.
    /// With this number the runner notices a line that was lost.
    fn lines(&self) -> Option<u64> {
        None
    }

    /// Returns the number of the core that calls.
    fn core(&self) -> usize {
        0
    }

    /// Prints what may help, before a failure is reported.
    fn before_failure(&self) {}

    /// Stops this core for good, because another core ends the run.
    fn stop(&self) -> ! {
        exit::halt()
    }
}

/// Runs the test that is named by the runner's words, `test=NAME`, and ends the machine.
pub fn one_test(kernel: &dyn Kernel, words: &str) -> ! {
    let Some(name) = words::value(words, TEST_KEY) else {
        fail(
            kernel,
            format_args!("no test named: add {TEST_KEY}NAME to the command line"),
        );
    };
    let Some(test) = tests().iter().find(|test| test.name() == name) else {
        fail(kernel, format_args!("no test named {name}"));
    };
    tell(kernel, format_args!("{RUN} {name}"));
    CURRENT.store(ptr::from_ref(test).cast_mut(), Ordering::Relaxed);
    test.run();
    match test.expectation() {
        (EXPECT_PANIC, message) => fail(
            kernel,
            format_args!("returned, but was to panic with `{message}`"),
        ),
        (EXPECT_FAULT, exception) => fail(
            kernel,
            format_args!("returned, but was to end in {exception}"),
        ),
        _ => pass(kernel),
    }
}

/// Returns the test that runs.
#[must_use]
pub fn current() -> Option<&'static Test> {
    // SAFETY: Null or made from a `&'static Test` above.
    unsafe { CURRENT.load(Ordering::Relaxed).as_ref() }
}

/// Ends the run as passed. A test may call it where it cannot return, for instance in a hook.
pub fn pass(kernel: &dyn Kernel) -> ! {
    begins_to_end(kernel);
    let name = current().map_or("", Test::name);
    match kernel.lines() {
        Some(lines) => tell(kernel, format_args!("{PASS} {name} lines={lines}")),
        None => tell(kernel, format_args!("{PASS} {name}")),
    }
    exit::pass()
}

/// Ends the run as failed, for this reason.
pub fn fail(kernel: &dyn Kernel, reason: fmt::Arguments<'_>) -> ! {
    begins_to_end(kernel);
    tell(kernel, format_args!("{FAIL} {}", OneLine(reason)));
    exit::fail()
}

/// Ends the run with a panic: as passed if the test promised one with this message.
pub fn panic(kernel: &dyn Kernel, info: &PanicInfo<'_>) -> ! {
    if !begins_to_end(kernel) {
        tell(
            kernel,
            format_args!("{PANIC} unknown:0:0 panicked while reporting a panic or a fault"),
        );
        exit::fail();
    }
    let message = info.message();
    if let Some((EXPECT_PANIC, expected)) = current().map(Test::expectation) {
        if contains(format_args!("{message}"), expected) {
            kernel.print_line(format_args!("panicked as expected: {message}"));
            pass(kernel);
        }
        kernel.print_line(format_args!("expected a panic with: {expected}"));
    }
    kernel.before_failure();
    let message = OneLine(message);
    match info.location() {
        Some(place) => tell(kernel, format_args!("{PANIC} {place} {message}")),
        None => tell(kernel, format_args!("{PANIC} unknown:0:0 {message}")),
    }
    exit::fail()
}

/// Ends the run with an exception at `rip`: as passed if the test promised this one. Otherwise `report` prints what is known,
/// and `details` are the rest of the line for the runner: `error=0x… rip=0x…`.
pub fn fault(
    kernel: &dyn Kernel,
    vector: u64,
    rip: u64,
    details: fmt::Arguments<'_>,
    report: impl FnOnce(),
) -> ! {
    if !begins_to_end(kernel) {
        tell(
            kernel,
            format_args!("{FAIL} faulted while reporting a panic or a fault"),
        );
        exit::fail();
    }
    let name = faults::name(vector);
    let expectation = current().map(Test::expectation);
    if expectation == Some((EXPECT_FAULT, name)) {
        kernel.print_line(format_args!("ended as expected in {name} at {rip:#x}"));
        pass(kernel);
    }
    if let Some((EXPECT_FAULT, expected)) = expectation {
        kernel.print_line(format_args!("expected to end in {expected}"));
    }
    kernel.before_failure();
    report();
    tell(
        kernel,
        format_args!("{FAULT} {name} vector={vector} {details}"),
    );
    exit::fail()
}

/// Called by what ends a run. Returns whether it is the first: what happens while another end is reported is a failure,
/// whatever was promised, and must be reported without formatting anything.
///
/// If another core ends the run already, this core stops here, so that its report does not mix with the other one's.
fn begins_to_end(kernel: &dyn Kernel) -> bool {
    let this = kernel.core();
    match ENDS_ON.compare_exchange(NO_CORE, this, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => true,
        Err(core) if core == this => false,
        Err(_) => kernel.stop(),
    }
}

/// Prints a line for the runner.
fn tell(kernel: &dyn Kernel, text: fmt::Arguments<'_>) {
    kernel.print_line(format_args!("{PREFIX}{text}"));
}
