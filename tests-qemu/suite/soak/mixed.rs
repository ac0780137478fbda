//! Sixty-four fibers that yield, park, wake, sleep, make and join others, lock, hold permits, and hand tokens around, audited again and again.
//!
//! An audit is made by whichever fiber's turn it is, through the public list of fibers. What each fiber says that it does
//! must be what the scheduler says; nothing may be lost; no stack may be used to its end.

mod audit;
mod deeds;
mod meetings;

use core::{
    sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    time::Duration,
};

use kfiber::{
    platform::Platform,
    scheduler::{FiberPool, Priority, Unparker, park, park_timeout, sleep, yield_now},
};
use tests_qemu::{
    command_line,
    cpu::Random,
    interrupts::{on_tick, stop_timer, ticks},
    kernel_test, println,
};
use x86_64::instructions::interrupts;

use super::SCHEDULER;
use crate::place::Place;

const STACK: usize = if cfg!(debug_assertions) {
    16 * 1024
} else {
    4096
};
const FIBERS: usize = 64;
const SWITCHES: u64 = if cfg!(debug_assertions) {
    200_000
} else {
    2_000_000
};
/// Between two audits.
const STEPS_PER_AUDIT: u64 = 1 << 14;
/// Given to each fiber at first.
const TOKENS: u64 = 1_000;

static FIBER_CELLS: FiberPool<STACK, FIBERS> = FiberPool::new();

const RUNS: usize = 0;
const YIELDS: usize = 1;
const PARKS: usize = 2;
const SLEEPS: usize = 3;
const JOINS: usize = 4;
const LOCKS: usize = 5;
const ACQUIRES: usize = 6;
const RECEIVES: usize = 7;
const READS: usize = 8;
const STOCKS: usize = 9;
const EVENTS: usize = 10;
const MEETS: usize = 11;

/// One fiber as it knows itself.
struct Member {
    does: AtomicUsize,
    tokens: AtomicU64,
    waker: Place<Unparker>,
}

static MEMBERS: [Member; FIBERS] = [const {
    Member {
        does: AtomicUsize::new(RUNS),
        tokens: AtomicU64::new(TOKENS),
        waker: Place::new(),
    }
}; FIBERS];
static STEPS: AtomicU64 = AtomicU64::new(0);
static AUDITS: AtomicU64 = AtomicU64::new(0);
static IS_OVER: AtomicBool = AtomicBool::new(false);
static DONE: [AtomicU64; 12] = [const { AtomicU64::new(0) }; 12];

fn tokens(member: &Member) -> u64 {
    member.tokens.load(Ordering::Relaxed)
}

/// Does one thing that may let others run, and says so before.
fn wait<T>(me: &Member, does: usize, wait: impl FnOnce() -> T) -> T {
    me.does.store(does, Ordering::Relaxed);
    DONE[does].fetch_add(1, Ordering::Relaxed);
    let result = wait();
    me.does.store(RUNS, Ordering::Relaxed);
    result
}

/// One fiber's life. The first, the least urgent, never parks and wakes a few: so not all park for good.
fn live(index: usize, switches: u64) {
    let me = &MEMBERS[index];
    let mut random = Random::new(
        command_line::seed()
            .wrapping_mul(0x9e37)
            .wrapping_add(index as u64),
    );
    while !IS_OVER.load(Ordering::Relaxed) {
        if (STEPS.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(STEPS_PER_AUDIT) {
            audit::audit(index, switches);
        }
        if index == 0 {
            for _ in 0..4 {
                deeds::unpark(deeds::pick(&mut random));
            }
            match random.below(16) {
                0 => {
                    wait(me, SLEEPS, || sleep(Duration::from_micros(5)))
                        .expect("nobody cancels it");
                }
                _ => wait(me, YIELDS, yield_now),
            }
            continue;
        }
        match random.below(64) {
            0..18 => wait(me, YIELDS, yield_now),
            18..19 => meetings::send(me, &mut random),
            19..20 => meetings::receive(me),
            20..21 => meetings::read_or_write(me, &mut random),
            21..22 => meetings::make_or_use(me, &mut random),
            22..23 => meetings::signal(me, &mut random),
            23..24 => meetings::meet(me),
            24..30 => deeds::hand_on(me, &mut random),
            30..35 => deeds::lock(me, &mut random),
            35..40 => deeds::hold(me),
            40..41 => deeds::take_gift(me),
            41..50 => deeds::unpark(deeds::pick(&mut random)),
            50..58 => wait(me, PARKS, park).expect("nobody cancels it"),
            58..60 => {
                let nanoseconds = random.below(100_000);
                // Either end is right; that it ends at all is what counts.
                let _ = wait(me, PARKS, || {
                    park_timeout(Duration::from_nanos(nanoseconds))
                });
            }
            60..61 => {
                let nanoseconds = random.below(100_000);
                wait(me, SLEEPS, || sleep(Duration::from_nanos(nanoseconds)))
                    .expect("nobody cancels it");
            }
            _ => deeds::bear(me, &mut random),
        }
    }
    for member in &MEMBERS {
        deeds::unpark(member);
    }
}

kernel_test! {
    /// A hundred million in release: `rounds=100000000`.
    fn sixty_four_fibers_that_do_everything_lose_nothing() timeout(1_800) {
        let switches = command_line::rounds(SWITCHES);
        for (index, member) in MEMBERS.iter().enumerate() {
            // Most park more often than they are woken, so that all levels have their turn, and the first at last.
            let level = match index { 0 => 0, _ if index % 16 == 15 => 20, _ if index % 16 == 14 => 12, _ => 16 };
            let builder = SCHEDULER.builder().name("member").priority(Priority::new(level).expect("below 32"));
            let fiber = builder.spawn(&FIBER_CELLS, move || live(index, switches)).expect("one for each");
            member.waker.put(fiber.unparker());
            fiber.detach();
        }
        on_tick(|_| {
            SCHEDULER.timer_interrupt();
            deeds::give();
        });
        SCHEDULER.platform().now(); // compares the clocks before fibers look at them
        interrupts::enable();
        SCHEDULER.run();
        interrupts::disable();
        stop_timer();
        let done = DONE.each_ref().map(|count| count.load(Ordering::Relaxed));
        println!(
            "{} steps, {} audits, {} interrupts; of each kind of wait: {:?}",
            STEPS.load(Ordering::Relaxed), AUDITS.load(Ordering::Relaxed), ticks(), &done[YIELDS..],
        );
        assert_eq!(SCHEDULER.fibers().count(), 0);
        deeds::audit_the_end(TOKENS * FIBERS as u64);
        assert!(done[YIELDS..].iter().all(|&count| count > 0), "a kind was left out");
    }
}
