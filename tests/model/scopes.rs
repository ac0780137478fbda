//! Who lends leaves neither by returning nor by unwinding before the borrow ends; if all else fails the program ends.

use crate::{CELLS, S, child, contain, end_of, panic_of, settle, spawn};
use core::cell::RefCell;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use core::time::Duration;
use kfiber::platform::Host;
use kfiber::scheduler::{
    self, AfterDeadlock, Deadlock, Hooks, Report, Scope, scope, sleep, without_waiting, yield_now,
};
use kfiber::sync::{IrqMutex, Mutex};

static LOCK: Mutex<u32> = Mutex::new(0);
static WORDS: IrqMutex<u32> = IrqMutex::new(0);

/// Runs `body` as a fiber that lends something and must not get it back.
fn lends(body: impl FnOnce(&mut [u8]) + Send + 'static) {
    let owner = spawn("owner", || {
        let mut lent = vec![1; 64];
        let message = panic_of(|| body(&mut lent));
        eprintln!("left with {message}: {lent:?}");
    });
    S.run();
    eprintln!("{:?}", end_of(owner));
}

/// A fiber of a scope that writes into what was lent, when its owner has had time to leave.
fn borrow<'scope>(scope: &'scope Scope<'scope, '_>, lent: &'scope mut [u8]) {
    let writes = || {
        sleep(Duration::from_millis(1)).unwrap();
        lent.fill(0xee);
    };
    scope.spawn(&CELLS, writes).unwrap().detach();
}

#[test]
fn a_scope_whose_function_leaves_interrupts_off_ends_the_process() {
    child::aborts(&["scope"], || {
        contain();
        lends(|lent| {
            let kept = RefCell::new(None);
            scope(|scope| {
                borrow(scope, lent);
                *kept.borrow_mut() = Some(WORDS.lock());
            });
        });
    });
}

#[test]
fn a_scope_whose_function_unwinds_with_interrupts_off_ends_the_process() {
    child::aborts(&["scope"], || {
        contain();
        lends(|lent| {
            let kept = RefCell::new(None);
            scope(|scope| {
                borrow(scope, lent);
                *kept.borrow_mut() = Some(WORDS.lock());
                panic!("half-way");
            });
        });
    });
}

#[test]
fn a_scope_in_a_handler_of_interrupts_is_refused_before_anything_is_lent() {
    child::passes(|| {
        contain();
        let owner = spawn("owner", || {
            let in_handler = panic_of(|| Host::interrupt(|| scope(|_scope| ())));
            let quiet = panic_of(|| without_waiting(|| scope(|_scope| ())));
            [in_handler, quiet].map(|message| message == "no panic")
        });
        S.run();
        assert_eq!(end_of(owner), Ok([false; 2]));
    });
}

#[test]
fn a_hook_that_panics_at_the_end_of_a_scope_ends_the_process() {
    struct Panics;
    impl Hooks for Panics {
        fn report(&self, _report: &Report<'_>) {}
        fn deadlocked(&self, deadlock: &Deadlock<'_>) -> AfterDeadlock {
            panic!("{deadlock}")
        }
    }
    child::aborts(&["scope"], || {
        S.set_hooks(&Panics).unwrap();
        lends(|lent| {
            let guard = LOCK.lock();
            scope(|scope| {
                let waits = || {
                    *LOCK.lock() += 1;
                    lent.fill(0xee);
                };
                scope.spawn(&CELLS, waits).unwrap().detach();
                yield_now();
            });
            drop(guard);
        });
    });
}

#[test]
fn a_scope_that_waits_for_a_fiber_which_needs_its_owner_is_told_and_cannot_be_left() {
    child::passes(|| {
        contain();
        let owner = spawn("owner", || {
            let guard = LOCK.lock();
            let mut lent = 0;
            scope(|scope| {
                let waits = || {
                    let locked = LOCK.lock_timeout(Duration::from_millis(1)).is_ok();
                    lent = 1;
                    locked
                };
                scope.spawn(&CELLS, waits).unwrap().detach();
                yield_now();
            });
            drop(guard);
            lent
        });
        S.run();
        assert_eq!(end_of(owner), Ok(1));
    });
}

#[test]
fn a_fiber_of_a_scope_makes_its_siblings() {
    static SUM: AtomicU32 = AtomicU32::new(0);
    fn grow<'scope>(scope: &'scope Scope<'scope, '_>, depth: u32) {
        for _ in 0..2 {
            let body = move || {
                yield_now();
                SUM.fetch_add(1, Relaxed);
                if depth > 0 {
                    grow(scope, depth - 1);
                }
            };
            scope.spawn(&CELLS, body).unwrap().detach();
        }
    }
    child::passes(|| {
        contain();
        let owner = spawn("owner", || {
            scope(|scope| grow(scope, 1));
            SUM.load(Relaxed)
        });
        S.run();
        assert_eq!(end_of(owner), Ok(6));
    });
}

#[test]
fn a_scope_within_a_fiber_of_a_scope_ends_first() {
    static ORDER: Mutex<Vec<u32>> = Mutex::new(Vec::new());
    child::passes(|| {
        contain();
        let owner = spawn("owner", || {
            scope(|outer| {
                let middle = || {
                    let lent = 3;
                    scope(|inner| {
                        let last = || {
                            settle();
                            ORDER.lock().push(lent);
                        };
                        inner.spawn(&CELLS, last).unwrap().detach();
                    });
                    ORDER.lock().push(2);
                };
                outer.spawn(&CELLS, middle).unwrap().detach();
            });
            ORDER.lock().push(1);
            scheduler::now()
        });
        S.run();
        assert!(end_of(owner).is_ok());
        let order = spawn("reads", || core::mem::take(&mut *ORDER.lock()));
        S.run();
        assert_eq!(end_of(order), Ok(vec![3, 2, 1]));
    });
}
