//! Overflows of scheduled fibers: each is named, whoever notices it, and the rest of the system goes on.

mod canary;
mod deep;
mod guard;
mod interrupted;
mod ist;
mod jump;
mod preempted;
mod reports;
mod watch;
mod ways;

use core::{
    cell::UnsafeCell,
    sync::atomic::{AtomicU64, Ordering},
};

use kfiber::exceptions::{end_overflowed, handle};
use kfiber::scheduler::{
    FatalReason, Hooks, Report,
    overflow::{Detector, Overflow},
};
use tests_qemu::{
    exceptions::{self, TrapFrame},
    println,
};

use crate::scheduler::SCHEDULER;

const DEBUG: u8 = 1;
const DOUBLE_FAULT: u8 = 8;
const STACK_FAULT: u8 = 12;
const PROTECTION: u8 = 13;
const PAGE_FAULT: u8 = 14;

/// What the hooks were told, in order.
struct Told {
    overflows: UnsafeCell<[Option<Overflow>; 16]>,
    count: AtomicU64,
}

// SAFETY: one core, and reports do not interrupt each other.
unsafe impl Sync for Told {}

static TOLD: Told = Told {
    overflows: UnsafeCell::new([None; 16]),
    count: AtomicU64::new(0),
};

impl Hooks for Told {
    fn report(&self, report: &Report<'_>) {
        println!("{report}");
        if let Report::Overflow(overflow) = report {
            let index = usize::try_from(self.count.fetch_add(1, Ordering::Relaxed)).expect("few");
            // SAFETY: see the type.
            if let Some(place) = unsafe { (*self.overflows.get()).get_mut(index) } {
                *place = Some(**overflow);
            }
            TURNS_AT_REPORT.store(canary::turns(2), Ordering::Relaxed);
        } else {
            OTHERS.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// How many turns the fiber in the middle slot had when the last one was reported.
static TURNS_AT_REPORT: AtomicU64 = AtomicU64::new(0);

/// How many reports were of something else.
static OTHERS: AtomicU64 = AtomicU64::new(0);

/// How many overflows were reported.
fn count() -> u64 {
    TOLD.count.load(Ordering::Relaxed)
}

/// The overflow that was reported as this one, counted from 0.
#[track_caller]
fn overflow(index: usize) -> Overflow {
    // SAFETY: see the type.
    unsafe { (*TOLD.overflows.get())[index] }.expect("an overflow was reported")
}

/// The one overflow that was reported, of this fiber, noticed by this.
#[track_caller]
fn the_overflow(name: &str, detector: Detector) -> Overflow {
    assert_eq!(count(), 1, "one report");
    let overflow = overflow(0);
    assert_eq!((overflow.name, overflow.detector), (name, detector));
    overflow
}

/// Has overflows reported to us, and exceptions asked whether they are overflows.
fn watch_out() {
    SCHEDULER.set_hooks(&TOLD).expect("first");
    for vector in [DEBUG, DOUBLE_FAULT, STACK_FAULT, PROTECTION, PAGE_FAULT] {
        exceptions::hook(vector, on_exception);
    }
}

fn on_exception(frame: &mut TrapFrame) {
    // SAFETY: the exception has just come, and what the frame says is what is returned to.
    match unsafe { handle(frame) } {
        Ok(()) => {}
        // SAFETY: as above. The tests' handlers hold nothing.
        Err(FatalReason::InterruptsOff) => unsafe { end_overflowed(frame) },
        Err(_) => exceptions::report(frame),
    }
}
