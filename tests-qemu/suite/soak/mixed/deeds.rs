//! What a fiber of the mixture does, one thing a function: each says what it does before it may wait.

use core::{
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    time::Duration,
};

use kfiber::{
    scheduler::{FiberPool, Priority, WaitError, current, yield_now},
    sync::{Mutex, Semaphore},
};
use tests_qemu::cpu::Random;

use super::{
    ACQUIRES, FIBERS, JOINS, LOCKS, MEMBERS, Member, STACK, YIELDS, meetings, tokens, wait,
};
use crate::soak::SCHEDULER;

/// As many hold a permit at once, and no more.
const PERMITS: usize = 3;

static CHILD_CELLS: FiberPool<STACK, 4> = FiberPool::new();
static PERMIT: Semaphore = Semaphore::new(PERMITS);
static HOLDERS: AtomicUsize = AtomicUsize::new(0);
/// Both numbers are equal while nobody has it locked.
static PAIR: Mutex<[u64; 2]> = Mutex::new([0; 2]);
static LOCKED: AtomicU64 = AtomicU64::new(0);
/// What the timer's interrupt handler gives, and how many of it were taken.
static GIFTS: Semaphore = Semaphore::new(0);
static GIVEN: AtomicU64 = AtomicU64::new(0);
static TAKEN: AtomicU64 = AtomicU64::new(0);
/// Tokens that were taken from one fiber and are not yet with another.
static ON_THE_WAY: AtomicU64 = AtomicU64::new(0);
static CHILDREN: AtomicU64 = AtomicU64::new(0);

/// Takes some tokens, lets others run, and gives them to another fiber.
pub(super) fn hand_on(me: &Member, random: &mut Random) {
    let amount = random.below(tokens(me) + 1);
    me.tokens.fetch_sub(amount, Ordering::Relaxed);
    ON_THE_WAY.fetch_add(amount, Ordering::Relaxed);
    wait(me, YIELDS, yield_now);
    ON_THE_WAY.fetch_sub(amount, Ordering::Relaxed);
    pick(random).tokens.fetch_add(amount, Ordering::Relaxed);
}

pub(super) fn pick(random: &mut Random) -> &'static Member {
    &MEMBERS[usize::try_from(random.below(FIBERS as u64)).expect("few")]
}

/// Has a child add something up, which is another's work in between.
pub(super) fn bear(me: &Member, random: &mut Random) {
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

/// Wakes a fiber, whatever it does.
pub(super) fn unpark(member: &Member) {
    let _is_alive = member.waker.get().unpark();
}

/// Changes what a mutex protects, and lets others run in between.
pub(super) fn lock(me: &Member, random: &mut Random) {
    let mut pair = wait(me, LOCKS, || PAIR.lock());
    LOCKED.fetch_add(1, Ordering::Relaxed);
    assert_eq!(pair[0], pair[1], "somebody else was here");
    pair[0] += 1;
    if random.below(2) == 0 {
        wait(me, YIELDS, yield_now);
    }
    pair[1] += 1;
}

/// Holds one of a few permits for a while.
pub(super) fn hold(me: &Member) {
    wait(me, ACQUIRES, || PERMIT.acquire()).expect("nobody cancels it");
    let holders = HOLDERS.fetch_add(1, Ordering::Relaxed) + 1;
    assert!(holders <= PERMITS, "{holders} hold {PERMITS} permits");
    wait(me, YIELDS, yield_now);
    HOLDERS.fetch_sub(1, Ordering::Relaxed);
    PERMIT.release(1).expect("it was taken");
}

/// Takes what an interrupt handler gives, if it comes in time.
pub(super) fn take_gift(me: &Member) {
    match wait(me, ACQUIRES, || {
        GIFTS.acquire_timeout(Duration::from_micros(20))
    }) {
        Ok(()) => drop(TAKEN.fetch_add(1, Ordering::Relaxed)),
        Err(error) => assert_eq!(error, WaitError::TimedOut),
    }
}

/// Called by the interrupt handler.
pub(super) fn give() {
    GIFTS.release(1).expect("there is no limit");
    GIVEN.fetch_add(1, Ordering::Relaxed);
}

/// What must be so whenever a fiber looks.
pub(super) fn audit(all_tokens: u64) {
    let sum: u64 = MEMBERS.iter().map(tokens).sum();
    assert_eq!(
        sum + ON_THE_WAY.load(Ordering::Relaxed) + meetings::in_the_post(),
        all_tokens,
        "tokens"
    );
    let holders = HOLDERS.load(Ordering::Relaxed);
    let is_locked = PAIR.is_locked();
    assert!(
        holders + PERMIT.available() <= PERMITS,
        "{holders} hold permits"
    );
    if current().is_some()
        && let Some(pair) = PAIR.try_lock()
    {
        assert!(!is_locked);
        assert_eq!(*pair, [LOCKED.load(Ordering::Relaxed); 2]);
    }
}

/// What must be so when all have ended.
pub(super) fn audit_the_end(all_tokens: u64) {
    audit(all_tokens);
    let left = meetings::audit_the_end();
    let sum: u64 = MEMBERS.iter().map(tokens).sum();
    assert_eq!(sum + left, all_tokens);
    let left = [&ON_THE_WAY, &CHILDREN].map(|count| count.load(Ordering::Relaxed));
    assert_eq!(left, [0; 2]);
    assert_eq!(PERMIT.available(), PERMITS);
    assert!(!PAIR.is_locked());
    let (given, taken) = (GIVEN.load(Ordering::Relaxed), TAKEN.load(Ordering::Relaxed));
    assert_eq!(given, taken + GIFTS.available() as u64, "gifts");
    assert!(taken > 0, "no fiber was woken by a handler");
}
