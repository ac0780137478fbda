//! A cell that is used again begins clean, and a fiber that ends where it must not is the one that fails.

use crate::{CELLS, ONE, Pause, S, STACK, assert_names, child, contain, end_of, settle, spawn};
use core::mem::forget;
use core::time::Duration;
use kfiber::fiber::{Fiber, Resumed};
use kfiber::platform::{Host, Platform};
use kfiber::scheduler::{
    JoinHandle, Priority, WaitError, current, current_name, is_cancelled, park, park_timeout,
    scope, shield, sleep, without_waiting, yield_now,
};
use kfiber::stack::Storage;
use kfiber::sync::{IrqMutex, LockError, Mutex, RwLock, Semaphore};

static LOCK: Mutex<u32> = Mutex::new(0);
static SHARED: RwLock<u32> = RwLock::new(0);
static WORDS: IrqMutex<u32> = IrqMutex::new(0);

/// Runs `first` to its end, and then makes `next` in the same cell.
fn one_after_the_other<T: Send + 'static>(
    first: impl FnOnce() + Send + 'static,
    next: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    let first = S
        .builder()
        .name("first")
        .priority(Priority::HIGHEST)
        .spawn(&ONE, first)
        .unwrap();
    S.run();
    assert_eq!(end_of(first), Ok(()));
    S.spawn(&ONE, next).unwrap()
}

/// A fiber inside, left in the middle of `within`, which calls what it is given.
fn leaves_within(within: impl FnOnce(&dyn Fn()) + 'static) {
    let stack = STACK.take().unwrap();
    let body = move |yielder: &Pause, ()| within(&|| yielder.suspend(()));
    let mut fiber = Fiber::new(stack, body).unwrap();
    assert_eq!(fiber.resume(()), Resumed::Yielded(()));
}

#[test]
fn a_shield_does_not_outlive_its_fiber() {
    child::passes(|| {
        contain();
        let hour = Duration::from_secs(3600);
        let next = one_after_the_other(
            || leaves_within(|suspend| shield(suspend)),
            move || sleep(hour),
        );
        S.run_until_idle();
        next.cancel();
        S.run();
        assert_eq!(end_of(next), Ok(Err(WaitError::Cancelled)));
        assert_eq!(S.platform().now(), 0, "it slept on");
    });
}

#[test]
fn several_shields_do_not_outlive_their_fiber() {
    child::passes(|| {
        contain();
        let first = || leaves_within(|suspend| shield(|| shield(|| shield(suspend))));
        let next = one_after_the_other(first, || {
            yield_now();
            is_cancelled()
        });
        next.cancel();
        S.run();
        assert_eq!(end_of(next), Ok(true));
    });
}

#[test]
fn neither_name_nor_level_nor_wakes_nor_cancellation_outlive_a_fiber() {
    child::passes(|| {
        contain();
        let first = S
            .builder()
            .name("first")
            .priority(Priority::HIGHEST)
            .spawn(&ONE, settle)
            .unwrap();
        let unparker = first.unparker();
        first.cancel();
        unparker.unpark();
        S.run();
        assert!(!unparker.unpark(), "it has ended");
        drop(first);
        let next = S
            .spawn(&ONE, || {
                (
                    current_name(),
                    is_cancelled(),
                    park_timeout(Duration::from_nanos(1)),
                )
            })
            .unwrap();
        assert!(!unparker.unpark(), "it is another one");
        let info = S.fibers().find(|info| info.id == next.id()).unwrap();
        assert_eq!((info.name, info.priority), ("", Priority::NORMAL));
        S.run();
        assert_eq!(end_of(next), Ok(("", false, Err(WaitError::TimedOut))));
    });
}

#[test]
fn the_owner_of_a_leaked_guard_is_not_the_next_in_its_cell() {
    child::passes(|| {
        contain();
        let next = one_after_the_other(|| forget(LOCK.lock()), || LOCK.owner() == current());
        S.run();
        assert_eq!(end_of(next), Ok(false));
    });
}

#[test]
fn the_next_in_the_cell_of_a_leaked_guard_locks_as_any_other() {
    child::passes(|| {
        contain();
        let wait = Duration::from_millis(1);
        let next = one_after_the_other(
            || forget((LOCK.lock(), SHARED.write())),
            move || {
                let mutex = LOCK.lock_timeout(wait).map(|_guard| ());
                let reader = SHARED.read_timeout(wait).map(|_guard| ());
                (mutex, reader)
            },
        );
        S.run();
        assert_eq!(
            end_of(next),
            Ok((Err(LockError::TimedOut), Err(LockError::TimedOut)))
        );
        let waits_for_ever = S
            .builder()
            .name("waits")
            .spawn(&ONE, || drop(LOCK.lock()))
            .unwrap();
        S.run();
        assert_names(
            &end_of(waits_for_ever).unwrap_err(),
            &["deadlock", "has ended"],
        );
    });
}

#[test]
fn the_next_in_the_cell_of_a_leaked_guard_is_lent_no_priority() {
    child::passes(|| {
        contain();
        let next = one_after_the_other(
            || forget(LOCK.lock()),
            || {
                yield_now();
                let me = current().unwrap();
                S.fibers()
                    .find(|info| info.id == me)
                    .map(|info| info.priority)
            },
        );
        let high = S.builder().name("high").priority(Priority::HIGHEST);
        high.spawn(&CELLS, || {
            LOCK.lock_timeout(Duration::from_millis(1)).is_ok()
        })
        .unwrap()
        .detach();
        S.run();
        assert_eq!(end_of(next), Ok(Some(Priority::NORMAL)));
    });
}

/// Whoever ends by `ending` fails, with these words, and the next one is innocent.
fn is_the_one_that_fails(words: &[&str], ending: fn()) {
    contain();
    let culprit = spawn("culprit", ending);
    let innocent = spawn("innocent", || {
        settle();
        1
    });
    S.run();
    assert_names(&end_of(culprit).unwrap_err(), words);
    assert_eq!(end_of(innocent), Ok(1));
    // And the scheduler goes on.
    let later = spawn("later", || sleep(Duration::from_nanos(1)));
    S.run();
    assert_eq!(end_of(later), Ok(Ok(())));
}

#[test]
fn a_fiber_that_ends_with_interrupts_off_is_the_one_that_fails() {
    child::passes(|| is_the_one_that_fails(&["left_behind.rs"], || forget(WORDS.lock())));
}

#[test]
fn a_fiber_that_ends_with_interrupts_off_after_a_wait_is_the_one_that_fails() {
    child::passes(|| {
        is_the_one_that_fails(&["left_behind.rs"], || {
            settle();
            forget(WORDS.lock());
        });
    });
}

#[test]
fn a_fiber_that_ends_where_waiting_is_forbidden_is_the_one_that_fails() {
    child::passes(|| {
        is_the_one_that_fails(&["left_behind.rs"], || {
            leaves_within(|suspend| without_waiting(suspend));
        });
    });
}

#[test]
fn a_fiber_that_ends_in_an_interrupt_is_the_one_that_fails() {
    child::passes(|| {
        is_the_one_that_fails(&["interrupts"], || {
            leaves_within(|suspend| Host::interrupt(suspend));
        });
    });
}

/// Runs a fiber in `ONE` to its end, while a fiber of its scope waits for the gate.
fn leave_scope_behind(gate: &'static Semaphore) {
    let owner = S.spawn(&ONE, || {
        leaves_within(|suspend| {
            scope(|scope| {
                let lent = scope.spawn(&CELLS, || gate.acquire().unwrap());
                lent.unwrap().detach();
                suspend();
            });
        });
    });
    S.run_until_idle();
    assert_eq!(end_of(owner.unwrap()), Ok(()));
}

#[test]
fn the_end_of_a_scope_that_was_left_behind_does_not_change_the_next_in_its_owners_cell() {
    static GATE: Semaphore = Semaphore::new(0);
    child::passes(|| {
        contain();
        leave_scope_behind(&GATE);
        let next = S.spawn(&ONE, || (park(), current())).unwrap();
        S.run_until_idle();
        GATE.release(1).unwrap();
        S.run_until_idle();
        assert!(next.unparker().unpark(), "it is still the same fiber");
        S.run();
        let id = next.id();
        assert_eq!(end_of(next), Ok((Ok(()), Some(id))));
    });
}

#[test]
fn a_scope_is_told_of_a_failure_in_a_cell_whose_last_fiber_left_a_scope_behind() {
    static GATE: Semaphore = Semaphore::new(0);
    child::passes(|| {
        contain();
        leave_scope_behind(&GATE);
        let other = spawn("other", || {
            scope(|scope| {
                let fails = scope.spawn(&ONE, || panic!("on purpose"));
                fails.unwrap().detach();
            });
        });
        S.run_until_idle();
        assert_names(
            &end_of(other).unwrap_err(),
            &["a fiber of this scope failed"],
        );
        GATE.release(1).unwrap();
        S.run();
    });
}
