//! What a fiber of the mixture does with others: messages, shared reading, stock, flags, meetings. Everything is counted.
//!
//! Whoever might wait for somebody who has ended has a deadline.

use core::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use kfiber::{
    scheduler::{WaitError, after, yield_now},
    sync::{
        Barrier, Channel, Condvar, Event, Mutex, RecvError, RwLock, Wanted, bitflags::bitflags,
    },
};
use tests_qemu::cpu::Random;

use super::{EVENTS, MEETS, Member, READS, RECEIVES, STOCKS, YIELDS, tokens, wait};

const PATIENCE: Duration = Duration::from_micros(30);

static POST: Channel<[u64; 2], 4> = Channel::new();
static IN_THE_POST: AtomicU64 = AtomicU64::new(0);
/// Both numbers are equal while nobody writes.
static TABLE: RwLock<[u64; 2]> = RwLock::new([0; 2]);
static STOCK: Mutex<u64> = Mutex::new(0);
static HAS_STOCK: Condvar = Condvar::new();
static MADE: AtomicU64 = AtomicU64::new(0);
static USED: AtomicU64 = AtomicU64::new(0);
static FLAGS: Event<Flags> = Event::new(Flags::empty());
static RAISED: AtomicU64 = AtomicU64::new(0);
static LOWERED: AtomicU64 = AtomicU64::new(0);
static PAIRS: Barrier = Barrier::new(2);
static PASSED: AtomicU64 = AtomicU64::new(0);
static LEADERS: AtomicU64 = AtomicU64::new(0);

bitflags! {
    #[derive(Clone, Copy, Debug)]
    struct Flags: u32 { const _ = !0; }
}

fn add(count: &AtomicU64, number: u64) {
    count.fetch_add(number, Ordering::Relaxed);
}

fn get(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

/// Posts some tokens; they come back if nobody makes room for them in time.
pub(super) fn send(me: &Member, random: &mut Random) {
    let amount = random.below(tokens(me) + 1);
    me.tokens.fetch_sub(amount, Ordering::Relaxed);
    add(&IN_THE_POST, amount);
    let sent = wait(me, RECEIVES, || {
        POST.send_timeout([amount, !amount], PATIENCE)
    });
    if let Err(refused) = sent {
        assert_eq!(refused.message, [amount, !amount]);
        IN_THE_POST.fetch_sub(amount, Ordering::Relaxed);
        add(&me.tokens, amount);
    }
}

/// Takes posted tokens.
pub(super) fn receive(me: &Member) {
    match wait(me, RECEIVES, || POST.recv_timeout(PATIENCE)) {
        Ok([amount, check]) => {
            assert_eq!(check, !amount, "a broken message");
            IN_THE_POST.fetch_sub(amount, Ordering::Relaxed);
            add(&me.tokens, amount);
        }
        Err(error) => assert_eq!(error, RecvError::TimedOut),
    }
}

/// Reads beside others, or writes alone.
pub(super) fn read_or_write(me: &Member, random: &mut Random) {
    if random.below(4) > 0 {
        let table = wait(me, READS, || TABLE.read());
        let before = *table;
        assert_eq!(before[0], before[1], "somebody writes");
        wait(me, YIELDS, yield_now);
        assert_eq!(*table, before, "somebody wrote");
    } else {
        let mut table = wait(me, READS, || TABLE.write());
        table[0] += 1;
        wait(me, YIELDS, yield_now);
        table[1] += 1;
        assert_eq!(table[0], table[1], "two write");
    }
}

/// Makes one for the stock, or waits for one and uses it.
pub(super) fn make_or_use(me: &Member, random: &mut Random) {
    let mut stock = wait(me, STOCKS, || STOCK.lock());
    if random.below(2) == 0 {
        *stock += 1;
        add(&MADE, 1);
        HAS_STOCK.notify_one();
        return;
    }
    let deadline = after(PATIENCE);
    let waited = wait(me, STOCKS, || {
        HAS_STOCK.wait_while_until(&mut stock, deadline, |stock| *stock == 0)
    });
    match waited {
        Ok(()) => {
            *stock -= 1;
            add(&USED, 1);
        }
        Err(error) => assert_eq!(error, WaitError::TimedOut),
    }
}

const fn some_flag(random: &mut Random) -> Flags {
    Flags::from_bits_retain(1 << random.below(8))
}

/// Raises a flag, or waits for one of some and lowers those.
pub(super) fn signal(me: &Member, random: &mut Random) {
    let flags = some_flag(random);
    if random.below(2) == 0 {
        if !FLAGS.get().intersects(flags) {
            add(&RAISED, 1);
            FLAGS.set(flags);
        }
        return;
    }
    let wanted = flags | some_flag(random);
    let waited = wait(me, EVENTS, || {
        FLAGS.wait_timeout(Wanted::any(wanted).and_clear(), PATIENCE)
    });
    match waited {
        Ok(seen) => {
            assert!(seen.intersects(wanted), "{seen:?} is none of {wanted:?}");
            add(&LOWERED, (seen & wanted).bits().count_ones().into());
        }
        Err(error) => assert_eq!(error, WaitError::TimedOut),
    }
}

/// Meets one other.
pub(super) fn meet(me: &Member) {
    match wait(me, MEETS, || PAIRS.wait_timeout(PATIENCE)) {
        Ok(turn) => {
            add(&PASSED, 1);
            add(&LEADERS, turn.is_leader().into());
        }
        Err(error) => assert_eq!(error, WaitError::TimedOut),
    }
}

/// Tokens that are in no member's hands.
pub(super) fn in_the_post() -> u64 {
    get(&IN_THE_POST)
}

/// What must be so when all have ended. Returns the tokens that nobody has received.
pub(super) fn audit_the_end() -> u64 {
    let mut left = 0;
    while let Ok([amount, _]) = POST.try_recv() {
        left += amount;
    }
    assert_eq!(left, in_the_post(), "messages");
    let stock = get(&MADE) - get(&USED);
    assert!(stock <= get(&MADE) && !STOCK.is_locked(), "stock");
    assert_eq!(
        get(&RAISED),
        get(&LOWERED) + u64::from(FLAGS.get().bits().count_ones()),
        "flags"
    );
    assert_eq!(get(&PASSED), 2 * get(&LEADERS), "one of each pair leads");
    assert!(
        [&USED, &LOWERED, &PASSED]
            .iter()
            .all(|count| get(count) > 0),
        "nobody met"
    );
    left
}
