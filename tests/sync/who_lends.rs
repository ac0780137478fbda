//! Which waits lend their priority to the fiber that they need: those for a mutex, and no others.

use crate::world;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use kfiber::scheduler::{self, FiberPool, JoinHandle, Priority};
use kfiber::sync::{Mutex, Once, RwLock};

/// How many turns one of a priority in between may take at most.
const ENOUGH: u32 = 100;

fn a_few_turns() {
    for _ in 0..5 {
        scheduler::yield_now();
    }
}

/// How many turns a fiber of a priority in between takes until `high` is done, which waits for what `low` has.
macro_rules! turns_in_between {
    ($low:expr, $high:expr) => {{
        world!(S, CELLS);
        static DONE: AtomicBool = AtomicBool::new(false);
        static TURNS: AtomicU32 = AtomicU32::new(0);
        let lowest = S.builder().name("low").priority(Priority::LOWEST);
        let low: JoinHandle<()> = lowest.spawn(&CELLS, $low).unwrap();
        let starts = S.builder().priority(Priority::LOWEST).spawn(&CELLS, || {
            let high = S.builder().name("high").priority(Priority::HIGHEST);
            let high = high.spawn(&CELLS, move || {
                let high: fn(JoinHandle<()>, &'static Cells) = $high;
                high(low, &CELLS);
                DONE.store(true, Relaxed);
            });
            high.unwrap().detach();
            let in_between = S.builder().name("in between").spawn(&CELLS, || {
                while !DONE.load(Relaxed) && TURNS.fetch_add(1, Relaxed) < ENOUGH {
                    scheduler::yield_now();
                }
            });
            in_between.unwrap().detach();
        });
        starts.unwrap().detach();
        S.run();
        assert!(DONE.load(Relaxed));
        TURNS.load(Relaxed)
    }};
}

type Cells = FiberPool<65536, 8>;

#[test]
fn a_wait_for_a_mutex_lends() {
    static LOCK: Mutex<()> = Mutex::new(());
    let turns = turns_in_between!(
        || {
            let _guard = LOCK.lock();
            a_few_turns();
        },
        |low, _cells| {
            drop(LOCK.lock());
            low.detach();
        }
    );
    assert_eq!(turns, 0);
}

#[test]
fn a_wait_for_one_who_writes_does_not_lend() {
    static LOCK: RwLock<()> = RwLock::new(());
    let turns = turns_in_between!(
        || {
            let _guard = LOCK.write();
            a_few_turns();
        },
        |low, _cells| {
            drop(LOCK.read());
            low.detach();
        }
    );
    assert!(turns > ENOUGH);
}

#[test]
fn a_wait_for_those_who_read_does_not_lend() {
    static LOCK: RwLock<()> = RwLock::new(());
    let turns = turns_in_between!(
        || {
            let _guard = LOCK.read();
            a_few_turns();
        },
        |low, _cells| {
            drop(LOCK.write());
            low.detach();
        }
    );
    assert!(turns > ENOUGH);
}

#[test]
fn a_wait_for_a_value_that_is_made_does_not_lend() {
    static VALUE: Once<u32> = Once::new();
    let turns = turns_in_between!(
        || {
            VALUE.call_once(|| {
                a_few_turns();
                1
            });
        },
        |low, _cells| {
            assert_eq!(*VALUE.call_once(|| 2), 1);
            low.detach();
        }
    );
    assert!(turns > ENOUGH);
}

#[test]
fn a_join_does_not_lend() {
    let turns = turns_in_between!(a_few_turns, |low, _cells| low.join().unwrap());
    assert!(turns > ENOUGH);
}

#[test]
fn the_end_of_a_scope_does_not_lend() {
    let turns = turns_in_between!(a_few_turns, |low, cells| {
        scheduler::scope(|scope| {
            let child = scope.spawn_as(cells, "child", Priority::LOWEST, a_few_turns);
            child.unwrap().detach();
        });
        low.detach();
    });
    assert!(turns > ENOUGH);
}
