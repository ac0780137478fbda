//! Runs the one test that the command line names, and judges how it ended.

use core::{
    fmt, ptr,
    sync::atomic::{AtomicPtr, AtomicUsize, Ordering},
};

use crate::{
    command_line, core_local, exit,
    protocol::{EXPECT_FAULT, EXPECT_PANIC, FAIL, PASS, RUN, TEST_KEY},
    registry::{Test, tests},
    serial,
};

static CURRENT: AtomicPtr<Test> = AtomicPtr::new(ptr::null_mut());

/// The number of the core that ends the run.
static ENDS_ON: AtomicUsize = AtomicUsize::new(NO_CORE);
const NO_CORE: usize = usize::MAX;

/// The main function of a kernel that is a collection of tests.
pub fn run_one_test() -> ! {
    let Some(name) = command_line::value(TEST_KEY) else {
        fail(format_args!(
            "no test named: add {TEST_KEY}NAME to the command line"
        ));
    };
    let Some(test) = tests().iter().find(|test| test.name() == name) else {
        fail(format_args!("no test named {name}"));
    };
    serial::print_to_runner(format_args!("{RUN} {name}"));
    CURRENT.store(ptr::from_ref(test).cast_mut(), Ordering::Relaxed);
    test.run();
    match test.expectation() {
        (EXPECT_PANIC, message) => {
            fail(format_args!("returned, but was to panic with `{message}`"))
        }
        (EXPECT_FAULT, exception) => fail(format_args!("returned, but was to end in {exception}")),
        _ => pass(),
    }
}

/// Returns the test that runs.
#[must_use]
pub fn current() -> Option<&'static Test> {
    // SAFETY: Null or made from a `&'static Test` above.
    unsafe { CURRENT.load(Ordering::Relaxed).as_ref() }
}

/// Called by what ends a run out of turn, a panic or a fault. Returns whether it is the first: one that happens while
/// another is reported is a failure, whatever was promised, and must be reported without formatting anything.
///
/// If another core ends the run already, this core stops here, so that its report does not mix with the other one's.
pub(crate) fn begins_to_end() -> bool {
    let this = core_local::this();
    match ENDS_ON.compare_exchange(NO_CORE, this, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => true,
        Err(core) if core == this => false,
        Err(_) => {
            serial::give_up();
            core_local::stop()
        }
    }
}

/// Ends the run as passed. A test may call it where it cannot return, for instance in a hook.
pub fn pass() -> ! {
    begins_to_end();
    let name = current().map_or("", Test::name);
    let lines = serial::lines();
    serial::print_to_runner(format_args!("{PASS} {name} lines={lines}"));
    exit::pass()
}

/// Ends the run as failed, for this reason.
pub fn fail(reason: fmt::Arguments<'_>) -> ! {
    begins_to_end();
    serial::print_to_runner(format_args!("{FAIL} {}", serial::OneLine(reason)));
    exit::fail()
}
