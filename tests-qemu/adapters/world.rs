//! The scheduler of the tests, which contains the failures of its fibers.

use core::panic::PanicInfo;

use kfiber::{
    scheduler::{
        Failure, FatalReason, FiberPool, Hooks, JoinError, JoinErrorKind, JoinHandle, Report,
        Scheduler, fiber_panicked,
    },
    sync::IrqMutex,
};
use tests_qemu::{
    interrupts::{on_tick, stop_timer},
    panic,
    platform::{self, Bare},
    println, run,
};
use x86_64::instructions::interrupts;

pub(crate) static SCHEDULER: Scheduler<Bare> = Scheduler::new(platform::bare());
pub(crate) static CELLS: FiberPool<{ 32 * 1024 }, 8> = FiberPool::new();
static EXPECTED: IrqMutex<Option<FatalReason>> = IrqMutex::new(None);

struct Log;

impl Hooks for Log {
    fn report(&self, report: &Report<'_>) {
        println!("{report}");
    }
}

/// Has failures contained from now on.
pub(crate) fn contain() {
    SCHEDULER.set_hooks(&Log).expect("the first");
    panic::first(on_panic);
}

fn on_panic(info: &PanicInfo<'_>) {
    let why = fiber_panicked(info);
    println!("fatal: {why}");
    if EXPECTED.try_lock().and_then(|expected| *expected) == Some(why) {
        run::pass();
    }
}

/// Expects the kernel to end, for this reason, in what follows.
pub(crate) fn expect_fatal(why: FatalReason) {
    *EXPECTED.lock() = Some(why);
}

pub(crate) fn spawn<T: Send + 'static>(
    name: &'static str,
    closure: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    let builder = SCHEDULER.builder().name(name);
    builder.spawn(&CELLS, closure).expect("a cell is free")
}

pub(crate) fn run_all() {
    on_tick(|_| SCHEDULER.timer_interrupt());
    interrupts::enable();
    SCHEDULER.run();
    interrupts::disable();
    stop_timer();
}

/// The message with which a fiber panicked.
#[track_caller]
pub(crate) fn message_of<T>(joined: Result<T, JoinError<T>>) -> &'static str {
    match joined.map(|_| ()).map_err(|error| error.kind) {
        Err(JoinErrorKind::Failed(Failure::Panicked(panic))) => panic.message,
        other => panic!("it was to panic: {other:?}"),
    }
}
