//! A panic or a fault ends one fiber: who is told, who goes on, and when it ends the kernel after all.

mod clocks;
mod deadlocks;
mod fatal;
pub(crate) mod kinds;
mod lines;
mod locks;
mod model;
mod one_of_many;
mod planted;
mod receivers;
mod scopes;

use core::{
    panic::PanicInfo,
    sync::atomic::{AtomicUsize, Ordering},
};

use kfiber::{
    scheduler::{
        Failure, FatalReason, FiberFailed, FiberPool, Hooks, JoinError, JoinErrorKind, JoinHandle,
        Report, Scheduler, fiber_panicked,
    },
    sync::IrqMutex,
};
use tests_qemu::{
    exceptions::{self, TrapFrame},
    interrupts::{on_tick, stop_timer},
    panic,
    platform::{self, Bare},
    println, run,
};
use x86_64::instructions::interrupts;

/// Room for a panic's message in a debug build.
const STACK: usize = 16 * 1024;

static SCHEDULER: Scheduler<Bare> = Scheduler::new(platform::bare());
static CELLS: FiberPool<STACK, 12> = FiberPool::new();
static REPORTS: AtomicUsize = AtomicUsize::new(0);
static LAST: IrqMutex<Option<FiberFailed>> = IrqMutex::new(None);
static EXPECTED: IrqMutex<Option<FatalReason>> = IrqMutex::new(None);

struct Log;

impl Hooks for Log {
    fn report(&self, report: &Report<'_>) {
        println!("{report}");
        if let Report::FiberFailed(failed) = report {
            REPORTS.fetch_add(1, Ordering::Relaxed);
            *LAST.lock() = Some(**failed);
        }
    }
}

/// Does what a kernel does to have failures contained.
fn contain() {
    SCHEDULER.set_hooks(&Log).expect("the first");
    handle();
}

/// The same, but for the hooks.
fn handle() {
    panic::first(on_panic);
    for vector in 0..32 {
        exceptions::hook(vector, on_exception);
    }
}

fn on_panic(info: &PanicInfo<'_>) {
    is_fatal(fiber_panicked(info));
}

fn on_exception(frame: &mut TrapFrame) {
    // SAFETY: the exception has just come, and what the frame says is what is returned to.
    if let Err(why) = unsafe { kfiber::exceptions::handle(frame) } {
        is_fatal(why);
        exceptions::report(frame);
    }
}

/// Ends the test, as passed if it was to be fatal for this reason.
fn is_fatal(why: FatalReason) {
    println!("fatal: {why}");
    if EXPECTED.try_lock().and_then(|expected| *expected) == Some(why) {
        run::pass();
    }
}

/// Expects the kernel to end, for this reason, in what follows.
fn expect_fatal(why: FatalReason) {
    *EXPECTED.lock() = Some(why);
}

fn spawn<T: Send + 'static>(closure: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    SCHEDULER.spawn(&CELLS, closure).expect("a cell is free")
}

fn run_all() {
    on_tick(|_| SCHEDULER.timer_interrupt());
    interrupts::enable();
    SCHEDULER.run();
    interrupts::disable();
    stop_timer();
}

/// Why it failed.
#[track_caller]
fn failure_of<T>(joined: Result<T, JoinError<T>>) -> &'static Failure {
    match joined {
        Err(JoinError {
            kind: JoinErrorKind::Failed(failure),
            ..
        }) => failure,
        Err(error) => panic!("not joined, but not for a failure: {:?}", error.kind),
        Ok(_) => panic!("it did not fail"),
    }
}

/// How many failures were reported so far.
fn reports() -> usize {
    REPORTS.load(Ordering::Relaxed)
}
