//! Sixty-four fibers that yield, park, wake, sleep, make and join others, and hand tokens around, audited again and again.
//!
//! An audit is made by whichever fiber's turn it is, through the public list of fibers. What each fiber says that it does
//! must be what the scheduler says; nothing may be lost; no stack may be used to its end.

use core::{
    sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    time::Duration,
};

use kfiber::{
    platform::Platform,
    scheduler::{
        FiberPool, FiberState, Priority, Unparker, WaitReason, current, park, park_timeout, sleep,
        yield_now,
    },
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
static CHILD_CELLS: FiberPool<STACK, 4> = FiberPool::new();

const RUNS: usize = 0;
const YIELDS: usize = 1;
const PARKS: usize = 2;
const SLEEPS: usize = 3;
const JOINS: usize = 4;

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
/// Tokens that were taken from one fiber and are not yet with another.
static ON_THE_WAY: AtomicU64 = AtomicU64::new(0);
static STEPS: AtomicU64 = AtomicU64::new(0);
static AUDITS: AtomicU64 = AtomicU64::new(0);
static CHILDREN: AtomicU64 = AtomicU64::new(0);
static IS_OVER: AtomicBool = AtomicBool::new(false);
static DONE: [AtomicU64; 5] = [const { AtomicU64::new(0) }; 5];

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

/// Takes some tokens, lets others run, and gives them to another fiber.
fn hand_on(me: &Member, random: &mut Random) {
    let amount = random.below(tokens(me) + 1);
    me.tokens.fetch_sub(amount, Ordering::Relaxed);
    ON_THE_WAY.fetch_add(amount, Ordering::Relaxed);
    wait(me, YIELDS, yield_now);
    ON_THE_WAY.fetch_sub(amount, Ordering::Relaxed);
    pick(random).tokens.fetch_add(amount, Ordering::Relaxed);
}

fn pick(random: &mut Random) -> &'static Member {
    &MEMBERS[usize::try_from(random.below(FIBERS as u64)).expect("few")]
}

/// Has a child add something up, which is another's work in between.
fn bear(me: &Member, random: &mut Random) {
    let number = random.next();
    let builder = SCHEDULER.builder().name("child").priority(Priority::NORMAL);
    let child = builder.spawn(&CHILD_CELLS, move || {
        CHILDREN.fetch_add(1, Ordering::Relaxed);
        yield_now();
        CHILDREN.fetch_sub(1, Ordering::Relaxed);
        number.wrapping_mul(3)
    });
    if let Ok(child) = child {
        let result = wait(me, JOINS, || child.join()).expect("nobody cancels it");
        assert_eq!(result, number.wrapping_mul(3));
    }
}

/// One fiber's life. The first never parks or sleeps, and wakes a few: so not all park for good.
fn live(index: usize, switches: u64) {
    let me = &MEMBERS[index];
    let mut random = Random::new(
        command_line::seed()
            .wrapping_mul(0x9e37)
            .wrapping_add(index as u64),
    );
    while !IS_OVER.load(Ordering::Relaxed) {
        if (STEPS.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(STEPS_PER_AUDIT) {
            audit(index, switches);
        }
        if index == 0 {
            for _ in 0..4 {
                unpark(pick(&mut random));
            }
            wait(me, YIELDS, yield_now);
            continue;
        }
        match random.below(64) {
            0..32 => wait(me, YIELDS, yield_now),
            32..40 => hand_on(me, &mut random),
            40..48 => unpark(pick(&mut random)),
            48..58 => wait(me, PARKS, park).expect("nobody cancels it"),
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
            _ => bear(me, &mut random),
        }
    }
    for member in &MEMBERS {
        unpark(member);
    }
}

fn unpark(member: &Member) {
    let _is_alive = member.waker.get().unpark();
}

/// Looks at everything.
fn audit(index: usize, switches: u64) {
    AUDITS.fetch_add(1, Ordering::Relaxed);
    let all: u64 = MEMBERS.iter().map(tokens).sum();
    assert_eq!(
        all + ON_THE_WAY.load(Ordering::Relaxed),
        TOKENS * FIBERS as u64,
        "tokens"
    );
    let (mut members, mut running, mut made) = (0, 0, 0);
    for fiber in SCHEDULER.fibers() {
        made += fiber.switches;
        // A damaged canary counts as used to the end.
        assert!(fiber.stack_usage().free_bytes() > 0, "overflow: {fiber:?}");
        if fiber.name == "child" {
            assert!(!matches!(fiber.state, FiberState::Running));
            continue;
        }
        let is_it = |member: &&Member| member.waker.get().id() == fiber.id;
        let member = MEMBERS.iter().find(is_it).expect("a member of its id");
        members += 1;
        let does = member.does.load(Ordering::Relaxed);
        match fiber.state {
            FiberState::Running => {
                running += 1;
                assert_eq!(Some(fiber.id), current());
                assert!(
                    core::ptr::eq(member, &raw const MEMBERS[index]) && does == RUNS,
                    "{fiber:?} does {does}"
                );
            }
            // One whose deadline had passed yields instead of sleeping.
            FiberState::Ready => assert!(
                [RUNS, YIELDS, SLEEPS].contains(&does),
                "{fiber:?} does {does}"
            ),
            FiberState::Waiting {
                reason: WaitReason::Park,
                ..
            } => assert_eq!(does, PARKS, "{fiber:?}"),
            FiberState::Waiting {
                reason: WaitReason::Sleep,
                ..
            } => assert_eq!(does, SLEEPS, "{fiber:?}"),
            FiberState::Waiting {
                reason: WaitReason::Join,
                ..
            } => assert_eq!(does, JOINS, "{fiber:?}"),
            FiberState::Finished => assert!(
                IS_OVER.load(Ordering::Relaxed),
                "{fiber:?} has ended too early"
            ),
            _ => panic!("{fiber:?} does {does}"),
        }
    }
    assert_eq!((members, running), (FIBERS, 1));
    if made >= switches {
        IS_OVER.store(true, Ordering::Relaxed);
    }
}

kernel_test! {
    /// A hundred million in release: `rounds=100000000`.
    fn sixty_four_fibers_that_do_everything_lose_nothing() timeout(1_800) {
        let switches = command_line::rounds(SWITCHES);
        for (index, member) in MEMBERS.iter().enumerate() {
            // A few are more urgent and a few less: they sleep and park too, and nobody starves.
            let level = match index % 16 { 15 => 20, 14 => 17, 13 => 12, _ => 16 };
            let builder = SCHEDULER.builder().name("member").priority(Priority::new(level).expect("below 32"));
            let fiber = builder.spawn(&FIBER_CELLS, move || live(index, switches)).expect("one for each");
            member.waker.put(fiber.unparker());
            fiber.detach();
        }
        on_tick(|_| SCHEDULER.timer_interrupt());
        SCHEDULER.platform().now(); // compares the clocks before fibers look at them
        interrupts::enable();
        SCHEDULER.run();
        interrupts::disable();
        stop_timer();
        let [_, yields, parks, sleeps, joins] = DONE.each_ref().map(|count| count.load(Ordering::Relaxed));
        println!(
            "{} steps, {} audits, {} interrupts; {yields} yields, {parks} parks, {sleeps} sleeps, {joins} joins",
            STEPS.load(Ordering::Relaxed), AUDITS.load(Ordering::Relaxed), ticks(),
        );
        assert_eq!(SCHEDULER.fibers().count(), 0);
        assert_eq!((ON_THE_WAY.load(Ordering::Relaxed), CHILDREN.load(Ordering::Relaxed)), (0, 0));
        assert_eq!(MEMBERS.iter().map(tokens).sum::<u64>(), TOKENS * FIBERS as u64);
        assert!(yields > 0 && parks > 0 && sleeps > 0 && joins > 0);
    }
}
