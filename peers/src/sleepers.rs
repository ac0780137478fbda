//! Very many fibers that sleep: what a tick of the timer costs that wakes none of them, one, or all, and the first one.
//!
//! The clock is that of the host's platform, which stands still unless it is told.

use core::ptr;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::Once;
use std::time::{Duration, Instant};

use kfiber::platform::{Host, Platform as _};
use kfiber::scheduler::{self, FiberCell, Scheduler};

use crate::bench::{Bench, Plan};
use crate::memory;

/// So many of them.
pub(crate) const COUNT: usize = 100_000;
/// Between two deadlines that differ, in nanoseconds.
const STEP: u64 = 1000;
/// Longer than all deadlines lie apart.
const FAR: u64 = STEP * COUNT as u64 * 2;

static SCHEDULER: Scheduler<Host> = Scheduler::new(Host::new());
static TICKER: FiberCell<32768> = FiberCell::new();

const STACK_BYTES: usize = 2048;
type Cell = FiberCell<STACK_BYTES>;

/// When the sleepers wake.
struct Orders {
    /// The number of these orders. Who has obeyed them already adds the period to its last deadline.
    number: AtomicUsize,
    first: AtomicU64,
    step: AtomicU64,
    period: AtomicU64,
    wakes: AtomicUsize,
}

static ORDERS: Orders = Orders {
    number: AtomicUsize::new(0),
    first: AtomicU64::new(FAR),
    step: AtomicU64::new(STEP),
    period: AtomicU64::new(FAR),
    wakes: AtomicUsize::new(0),
};

fn sleeper(index: usize) {
    let (mut obeyed, mut deadline) = (usize::MAX, 0);
    loop {
        let number = ORDERS.number.load(Relaxed);
        deadline = if number == obeyed {
            deadline + ORDERS.period.load(Relaxed)
        } else {
            ORDERS.first.load(Relaxed) + ORDERS.step.load(Relaxed) * index as u64
        };
        obeyed = number;
        scheduler::sleep_until(deadline).expect("nobody cancels it");
        ORDERS.wakes.fetch_add(1, Relaxed);
    }
}

fn now() -> u64 {
    SCHEDULER.platform().now()
}

/// Time passes, and the timer interrupts. Returns when all fibers that it woke have run and sleep again.
fn tick(nanoseconds: u64) {
    SCHEDULER.platform().advance(nanoseconds);
    SCHEDULER.timer_interrupt();
    scheduler::yield_now();
}

/// Has all fibers sleep anew: the first of them for `FAR`, each other so much longer, and later always for a period.
fn arrange(step: u64, period: u64) {
    ORDERS.step.store(step, Relaxed);
    ORDERS.period.store(period, Relaxed);
    ORDERS.first.store(now() + 3 * FAR, Relaxed);
    ORDERS.number.fetch_add(1, Relaxed);
    let before = ORDERS.wakes.load(Relaxed);
    tick(2 * FAR);
    let woken = ORDERS.wakes.load(Relaxed) - before;
    assert_eq!(woken, COUNT, "somebody did not wake");
}

/// Times ticks, and counts who wakes.
fn timed(ticks: usize, nanoseconds: u64) -> (Duration, usize) {
    let before = ORDERS.wakes.load(Relaxed);
    let start = Instant::now();
    for _ in 0..ticks {
        tick(nanoseconds);
    }
    let time = start.elapsed();
    (time, ORDERS.wakes.load(Relaxed) - before)
}

fn none(laps: usize) -> Duration {
    arrange(STEP, FAR);
    let (time, woken) = timed(laps, 0);
    assert_eq!(woken, 0, "somebody woke too early");
    time
}

fn one(laps: usize) -> Duration {
    arrange(STEP, STEP * COUNT as u64);
    tick(FAR);
    let (time, woken) = timed(laps, STEP);
    assert_eq!(woken, laps, "not one for each tick");
    time
}

fn all(laps: usize) -> Duration {
    arrange(0, FAR);
    let (time, woken) = timed(laps, FAR);
    assert_eq!(woken, laps * COUNT, "not all");
    time
}

/// At most so many first ticks are measured in a sample, since all must wake and sleep anew for each.
const MOST_FIRST: usize = 4;

/// The first that is taken out of the queue after all have come in the order of their deadlines, for which some kinds of
/// queues go through all of them. The time of a few is that of all laps in proportion.
fn first(laps: usize) -> Duration {
    let once = || {
        // The first sleeps again for a moment only, so that it remains the first when all wake for the next lap.
        arrange(STEP, 1);
        let (time, woken) = timed(1, FAR);
        assert_eq!(woken, 1, "not the first");
        time
    };
    let measured = laps.clamp(1, MOST_FIRST);
    let time: Duration = (0..measured).map(|_| once()).sum();
    let count = |laps: usize| u32::try_from(laps).expect("a sample has fewer laps");
    time / count(measured) * count(laps)
}

/// Calls a function with the number of laps in the fiber that ticks. It returns the time.
struct Ticking(fn(usize) -> Duration);

impl Ticking {
    fn new(timed: fn(usize) -> Duration) -> Self {
        static SLEEPERS: Once = Once::new();
        SLEEPERS.call_once(start_sleepers);
        Self(timed)
    }
}

impl Bench for Ticking {
    fn run(&mut self, laps: usize) -> Duration {
        let timed = self.0;
        let ticker = SCHEDULER.spawn(&TICKER, move || timed(laps));
        SCHEDULER.run_until_idle();
        let time = ticker.expect("a free cell").try_join();
        time.expect("it does not fail")
    }

    fn finish(self: Box<Self>) {}
}

fn start_sleepers() {
    let cells: *mut Cell = memory::map(COUNT * size_of::<Cell>()).cast();
    for index in 0..COUNT {
        let cell = cells.wrapping_add(index);
        // SAFETY: within the mapping, which is large enough and page-aligned.
        unsafe { ptr::write(cell, Cell::new()) };
        // SAFETY: it was just written, is never unmapped, and nobody refers to it otherwise.
        let cell: &'static Cell = unsafe { &*cell };
        let fiber = SCHEDULER.spawn(cell, move || sleeper(index));
        fiber.expect("a new cell").detach();
    }
    SCHEDULER.run_until_idle();
}

/// Prints `bytes control_block COUNT`, and `bytes sleeper_stack COUNT`: the most that one of the sleepers has used of its
/// stack, if there are any.
pub(crate) fn print_bytes() {
    println!("bytes control_block {}", size_of::<Cell>() - STACK_BYTES);
    let marks = SCHEDULER.high_water_marks().map(|mark| mark.usage);
    let of_sleepers = marks.filter(|usage| usage.size_bytes == STACK_BYTES);
    if let Some(used) = of_sleepers.map(|usage| usage.used_bytes).max() {
        println!("bytes sleeper_stack {used}");
    }
}

/// All of them. Of what wakes or passes all, an operation is one fiber's part.
pub(crate) fn plans() -> Vec<Plan> {
    let plan = |shape, timed| Plan::new("kfiber", shape, move || Ticking::new(timed));
    vec![
        plan("tick_none", none as fn(usize) -> Duration),
        plan("tick_one", one),
        plan("tick_all", all).laps_of(COUNT),
        plan("tick_first", first),
    ]
}
