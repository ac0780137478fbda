//! kfiber's own way in for interrupts and exceptions: the stubs, what each exception means, and the table of handlers.

mod backtrace;
mod contain;
mod install;
mod stub;
mod tables;
mod x86_interrupt;

use core::hint::black_box;
use core::sync::atomic::{AtomicU64, Ordering};

use kfiber::scheduler::{
    Failure, FiberPool, GuardedFiberPool, JoinError, JoinErrorKind, PrintReports, Scheduler,
    yield_now,
};
use kfiber::stack::{Storage, guard};
use tests_qemu::{
    paging::{FramePool, table},
    platform::{self, Bare},
};
use x86_64::{VirtAddr, instructions::interrupts};

/// Room for a report in a debug build.
const STACK: usize = 16 * 1024;

static SCHEDULER: Scheduler<Bare> = Scheduler::new(platform::bare());
static CELLS: FiberPool<STACK, 20> = FiberPool::new();
static GUARDED: GuardedFiberPool<STACK, 2> = GuardedFiberPool::new();
static REPORTS: PrintReports<Serial> = PrintReports::new(Serial);
static BYTES: AtomicU64 = AtomicU64::new(0);

/// The serial port, as a kernel would pass it to the hooks.
struct Serial;

impl core::fmt::Write for Serial {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        BYTES.fetch_add(text.len() as u64, Ordering::Relaxed);
        tests_qemu::print!("{text}");
        Ok(())
    }
}

/// Takes the guards of the cells away.
fn unmap_guards() {
    for cell in GUARDED.stacks() {
        // SAFETY: the only use of the table in this call.
        let mut table = unsafe { table() };
        let bounds = cell.storage_bounds();
        let level_4 = table.level_4_table_mut();
        // SAFETY: all memory is mapped one to one; nobody uses a guard's memory.
        let unmapped = unsafe { guard::unmap(bounds, level_4, VirtAddr::zero(), &mut FramePool) };
        unmapped.expect("frames are left");
    }
}

/// Runs all fibers to their end.
fn run() {
    interrupts::enable();
    SCHEDULER.run();
    interrupts::disable();
}

/// Runs `body`, which is to fail, in a fiber between two others that go on. Returns why it failed.
#[track_caller]
fn failure_among_others(body: impl FnOnce() + Send + 'static) -> &'static Failure {
    let work = || {
        (0..10_u64).fold(0, |sum, round| {
            yield_now();
            sum + round
        })
    };
    let before = SCHEDULER.spawn(&CELLS, work).expect("a cell is free");
    let failing = SCHEDULER.spawn(&CELLS, body).expect("a cell is free");
    let after = SCHEDULER.spawn(&CELLS, work).expect("a cell is free");
    run();
    assert_eq!(
        [before, after].map(|fiber| fiber.try_join().expect("it goes on")),
        [45; 2]
    );
    match failing.try_join() {
        Err(JoinError {
            kind: JoinErrorKind::Failed(failure),
            ..
        }) => failure,
        Err(error) => panic!("not joined, but not for a failure: {:?}", error.kind),
        Ok(()) => panic!("it did not fail"),
    }
}

/// Calls itself until the stack is used up.
fn use_up_the_stack() {
    fn deeper(depth: u64) -> u64 {
        let here = black_box([depth; 64]);
        if here[0] == u64::MAX {
            return 0; // not with these stacks
        }
        1 + deeper(here[0] + 1) + here[63]
    }
    black_box(deeper(0));
}
