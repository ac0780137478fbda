//! The writer of an event is interrupted at each of its instructions. What a reader finds there is whole, or nothing.

use core::sync::atomic::{AtomicU64, Ordering};

use kfiber::scheduler::Scheduler;
use kfiber::trace::{Label, Recorder};
use tests_qemu::exceptions::{self, TrapFrame};
use tests_qemu::platform::{self, Bare};
use tests_qemu::{cpu, println};
use x86_64::registers::rflags::RFlags;

use crate::events::{Bytes, MARK};

const EVENTS: usize = 8;
const DEBUG: u8 = 1;

static SCHEDULER: Scheduler<Bare> = Scheduler::new(platform::bare());
static RECORDER: Recorder<EVENTS> = Recorder::new();
static EXPORTED: Bytes<4096> = Bytes::new();

/// A number is recorded with the label that it has by its remainder, so that halves of two events do not fit.
static LABELS: [Label; 3] = [const { Label::new("label") }; 3];

/// How many instructions were interrupted.
static STEPS: AtomicU64 = AtomicU64::new(0);
/// The step at which the handler records.
static RECORDS_AT: AtomicU64 = AtomicU64::new(u64::MAX);
/// How many events it records there.
static RECORDS: AtomicU64 = AtomicU64::new(0);
/// The number of the next event.
static NEXT: AtomicU64 = AtomicU64::new(0);
/// How many events were read, and the fewest at one time.
static READ: AtomicU64 = AtomicU64::new(0);
static FEWEST: AtomicU64 = AtomicU64::new(u64::MAX);
/// The number that is being recorded, and when that began.
static IN_WORK: AtomicU64 = AtomicU64::new(0);

fn record(number: u64) {
    LABELS[usize::try_from(number % 3).expect("less than 3")].mark(number);
}

fn next() -> u64 {
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Reads all events, each of which must be whole.
fn check() {
    let (mut count, mut seen) = (0, 0_u128);
    let newest = NEXT.load(Ordering::Relaxed);
    EXPORTED.each(
        |write| RECORDER.export_bytes(write),
        |event| {
            assert_eq!(event.kind, MARK);
            let label = &LABELS[usize::try_from(event.subject % 3).expect("less than 3")];
            assert_eq!(
                event.detail,
                core::ptr::from_ref(label) as u64,
                "torn: {event:?}"
            );
            assert!(event.subject < newest, "never recorded: {event:?}");
            // SAFETY: it reads the counter.
            let now = unsafe { core::arch::x86_64::_rdtsc() };
            assert!(event.time <= now, "from the future: {event:?}");
            let bit = 1 << (event.subject % 128);
            assert_eq!(seen & bit, 0, "twice: {event:?}");
            seen |= bit;
            count += 1;
        },
    );
    READ.fetch_add(count, Ordering::Relaxed);
    FEWEST.fetch_min(count, Ordering::Relaxed);
}

fn on_step(frame: &mut TrapFrame) {
    if frame.rip == stop as *const () as u64 {
        frame.rflags &= !RFlags::TRAP_FLAG.bits();
        return;
    }
    let step = STEPS.fetch_add(1, Ordering::Relaxed);
    let at = RECORDS_AT.load(Ordering::Relaxed);
    if step == at {
        for _ in 0..RECORDS.load(Ordering::Relaxed) {
            record(next());
        }
    }
    // What is left in the middle stays there until the writer is done: the steps after it matter.
    if at == u64::MAX || (at..at + 32).contains(&step) || step.is_multiple_of(16) {
        check();
    }
}

#[inline(never)]
const extern "C" fn stop() {
    core::hint::black_box(());
}

/// Records one event, with each instruction interrupted. Returns how many there were.
fn step_through() -> u64 {
    STEPS.store(0, Ordering::Relaxed);
    let number = next();
    IN_WORK.store(number, Ordering::Relaxed);
    // SAFETY: the hook handles the trap, and ends it.
    unsafe { cpu::set_flags(RFlags::TRAP_FLAG) };
    record(number);
    stop();
    STEPS.load(Ordering::Relaxed)
}

fn begin() {
    RECORDER.start(&SCHEDULER);
    exceptions::hook(DEBUG, on_step);
    for _ in 0..3 * EVENTS {
        record(next());
    }
    check();
    assert_eq!(
        FEWEST.load(Ordering::Relaxed),
        EVENTS as u64,
        "the ring is full"
    );
}

tests_qemu::kernel_test! {
    fn a_reader_at_any_instruction_of_a_writer_finds_whole_events() timeout(120) {
        begin();
        let steps = step_through();
        check();
        println!("{steps} instructions, {} events", READ.load(Ordering::Relaxed));
        assert!(steps > 12, "the writer was stepped through");
        let fewest = FEWEST.load(Ordering::Relaxed);
        assert_eq!(fewest, EVENTS as u64 - 1, "only the event that is being written is missing");
    }

    fn a_writer_that_is_interrupted_by_writers_tears_nothing() timeout(300) {
        begin();
        let steps = step_through();
        for count in [1, EVENTS as u64] {
            RECORDS.store(count, Ordering::Relaxed);
            for at in 0..steps {
                RECORDS_AT.store(at, Ordering::Relaxed);
                step_through();
                check();
            }
        }
        println!("{steps} instructions, {} events", READ.load(Ordering::Relaxed));
    }
}
