//! The tests of the Thread-Metric suite that fit a cooperative kernel, written from their definitions.
//!
//! Instead of thirty seconds each runs a fixed number of rounds, and the figure is the instructions of one. As the suite
//! demands, services are called, not inlined, and the counters are checked at the end.

use core::sync::atomic::{AtomicU64, Ordering};

use kfiber::scheduler::{FiberPool, yield_now};
use kfiber::sync::{Channel, Semaphore};

use crate::counter::{print, start, stop};
use crate::scheduler::SCHEDULER;

const WARM_UPS: u64 = 100;
const ROUNDS: u64 = 10_000;
const FIBERS: usize = 5;

static CELLS: FiberPool<4096, FIBERS> = FiberPool::new();
static COUNTERS: [AtomicU64; FIBERS] = [const { AtomicU64::new(0) }; FIBERS];

pub(crate) fn measure() {
    cooperative_scheduling();
    let rounds = SCHEDULER.spawn(&CELLS, || {
        synchronization_processing();
        message_processing();
    });
    rounds.expect("a free cell").detach();
    SCHEDULER.run();
}

#[inline(never)]
fn relinquish() {
    yield_now();
}

fn count(counter: &AtomicU64) {
    counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

/// Five fibers of the same priority relinquish and count. Counted is the sum.
fn cooperative_scheduling() {
    let first = || {
        let counter = &COUNTERS[0];
        run_until(counter, WARM_UPS);
        let before = sum();
        start();
        run_until(counter, WARM_UPS + ROUNDS);
        let ticks = stop();
        print("metric_cooperative", sum() - before, ticks, ticks);
        check();
    };
    SCHEDULER
        .spawn(&CELLS, first)
        .expect("a free cell")
        .detach();
    for counter in &COUNTERS[1..] {
        // The others stop a little later, so that all five run to the end of what is measured.
        let other = SCHEDULER.spawn(&CELLS, || run_until(counter, WARM_UPS + ROUNDS + 1));
        other.expect("a free cell").detach();
    }
    SCHEDULER.run();
}

fn run_until(counter: &AtomicU64, end: u64) {
    while counter.load(Ordering::Relaxed) < end {
        relinquish();
        count(counter);
    }
}

fn sum() -> u64 {
    COUNTERS
        .iter()
        .map(|counter| counter.load(Ordering::Relaxed))
        .sum()
}

/// None of the five may be further than one round from the mean.
fn check() {
    let mean = sum() / FIBERS as u64;
    for (index, counter) in COUNTERS.iter().enumerate() {
        let count = counter.load(Ordering::Relaxed);
        assert!(
            count.abs_diff(mean) <= 1,
            "fiber {index} counted {count}, but the mean is {mean}"
        );
    }
}

static BINARY: Semaphore = Semaphore::with_limit(1, 1);

#[inline(never)]
fn get() -> bool {
    BINARY.acquire().is_ok()
}

#[inline(never)]
fn put() -> bool {
    BINARY.release(1).is_ok()
}

/// One fiber gets and puts a binary semaphore that is available at first, and counts.
fn synchronization_processing() {
    alone("metric_synchronization", || {
        assert!(get(), "nobody cancels");
        assert!(put(), "it was taken");
    });
}

/// Four words, 16 bytes.
type Message = [u32; 4];
static QUEUE: Channel<Message, 8> = Channel::new();

#[inline(never)]
fn send(message: &Message) -> bool {
    QUEUE.send(*message).is_ok()
}

#[inline(never)]
fn receive(message: &mut Message) -> bool {
    QUEUE.recv().map(|received| *message = received).is_ok()
}

/// One fiber sends a message to itself, compares its last word, and counts that up.
fn message_processing() {
    let mut sent = [0x1122_3344, 0x5566_7788, 0x99aa_bbcc, 0xddee_ff00];
    let mut received = [0; 4];
    alone("metric_message", || {
        assert!(send(&sent), "there is room");
        assert!(receive(&mut received), "it was sent");
        assert_eq!(received[3], sent[3], "it arrived as it was sent");
        sent[3] = sent[3].wrapping_add(1);
    });
}

/// Rounds of one fiber that waits for nobody.
fn alone(name: &str, mut round: impl FnMut()) {
    let counter = AtomicU64::new(0);
    let mut rounds = |end| {
        while counter.load(Ordering::Relaxed) < end {
            round();
            count(&counter);
        }
    };
    rounds(WARM_UPS);
    start();
    rounds(WARM_UPS + ROUNDS);
    let ticks = stop();
    assert_eq!(counter.load(Ordering::Relaxed), WARM_UPS + ROUNDS);
    print(name, ROUNDS, ticks, ticks);
}
