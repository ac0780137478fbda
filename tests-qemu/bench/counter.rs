//! One measured region: two readings of the time-stamp counter around it, many times, and what came out.
//!
//! Both readings are assembly with a fixed length, so that what they cost themselves is the same everywhere: that of an
//! empty region. The runner subtracts it.

use core::arch::asm;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tests_qemu::{command_line, cpu, exceptions, println};
use x86_64::registers::rflags::RFlags;

/// Key on the command line of the operation that is executed in single steps: `trace=yield_2`.
const TRACE_KEY: &str = "trace=";
/// First regions of each operation, which are not counted.
const WARM_UPS: usize = 8;
/// Counted regions of each operation.
const SAMPLES: usize = 56;
/// More than any region that is traced has.
const STEPS: usize = 8192;

static START: AtomicU64 = AtomicU64::new(0);
static READINGS: [AtomicU64; SAMPLES] = [const { AtomicU64::new(0) }; SAMPLES];
static TRACE: [AtomicU64; STEPS] = [const { AtomicU64::new(0) }; STEPS];
static TRACED: AtomicUsize = AtomicUsize::new(0);

/// Begins a region, in this fiber or another.
#[inline(always)]
pub(crate) fn start() {
    // SAFETY: it reads the counter into a static of ours. That it may touch all memory keeps the compiler from moving
    // loads and stores of the region out of it.
    unsafe {
        asm!(
            "rdtsc",
            "shl rdx, 32",
            "or rax, rdx",
            "mov [rip + {start}], rax",
            start = sym START,
            out("rax") _,
            out("rdx") _,
            options(nostack),
        );
    }
}

/// Ends a region: the ticks since it began, those of the two readings themselves included.
#[inline(always)]
pub(crate) fn stop() -> u64 {
    let ticks;
    // SAFETY: as above.
    unsafe {
        asm!(
            "rdtsc",
            "shl rdx, 32",
            "or rax, rdx",
            "sub rax, [rip + {start}]",
            start = sym START,
            out("rax") ticks,
            out("rdx") _,
            options(nostack),
        );
    }
    ticks
}

/// Measures an operation: calls `region`, which returns what [`stop`] did, often enough, and prints what came out.
///
/// `operations` is how many of them a region has: the figure is for one.
#[inline(always)]
pub(crate) fn measure(name: &'static str, operations: u64, mut region: impl FnMut() -> u64) {
    for index in 0..WARM_UPS + SAMPLES {
        let ticks = once(&mut region);
        if let Some(index) = index.checked_sub(WARM_UPS) {
            READINGS[index].store(ticks, Ordering::Relaxed);
        }
    }
    if command_line::value(TRACE_KEY) == Some(name) {
        single_step();
        once(&mut region);
        // SAFETY: nobody relies on single steps from here on.
        unsafe { cpu::clear_flags(RFlags::TRAP_FLAG) };
        print_trace();
    }
    let readings = || {
        READINGS
            .iter()
            .map(|reading| reading.load(Ordering::Relaxed))
    };
    let (min, max) = (readings().min().unwrap_or(0), readings().max().unwrap_or(0));
    print(name, operations, min, max);
}

/// All passes run the same copy of the region, also the one in single steps.
#[inline(never)]
fn once(region: &mut impl FnMut() -> u64) -> u64 {
    region()
}

/// Measures straight code that is one region.
#[inline(always)]
pub(crate) fn measure_here(name: &'static str, operations: u64, mut operation: impl FnMut()) {
    measure(name, operations, || {
        start();
        operation();
        stop()
    });
}

/// Tells the runner of an operation: what the shortest and the longest of its regions took.
pub(crate) fn print(name: &str, operations: u64, min: u64, max: u64) {
    println!("figure {name} operations={operations} min={min} max={max}");
}

/// From here on each instruction ends in an exception, which remembers where it was.
#[cold]
#[inline(never)]
fn single_step() {
    exceptions::hook(1, |frame| {
        let index = TRACED.fetch_add(1, Ordering::Relaxed);
        if let Some(place) = TRACE.get(index) {
            place.store(frame.rip, Ordering::Relaxed);
        }
    });
    // SAFETY: the handler is in place.
    unsafe { cpu::set_flags(RFlags::TRAP_FLAG) };
}

#[cold]
#[inline(never)]
fn print_trace() {
    let steps = TRACED.load(Ordering::Relaxed);
    assert!(
        steps <= STEPS,
        "{steps} instructions are more than a trace holds"
    );
    for rip in &TRACE[..steps] {
        println!("step {:#x}", rip.load(Ordering::Relaxed));
    }
}
