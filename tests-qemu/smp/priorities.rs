//! Priority is inherited between cores, along chains, and goes back.
//!
//! A fiber that yields again and again keeps those of lower priority on its core from running. So where a level does not
//! arrive, a test hangs.

mod moves;

use core::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use kfiber::{
    platform::Core,
    scheduler::{FiberId, JoinHandle, Priority, current, is_cancelled, yield_now},
    sync::{IrqMutex, LockError, Mutex},
};
use tests_qemu::kernel_test;

use crate::team::{self, CELLS, team};

const LOW: Priority = Priority::new(3).unwrap();
const HIGH: Priority = Priority::new(25).unwrap();

static LOCKS: [Mutex<u64>; 4] = [const { Mutex::new(0) }; 4];
/// How far a test has come.
static STEP: AtomicUsize = AtomicUsize::new(0);
static HOGS: AtomicUsize = AtomicUsize::new(0);

kernel_test! {
    /// Without inheritance the owner never runs again, since its core has something better to do.
    fn the_owner_of_another_core_gets_ahead_of_those_in_between() cores(2) timeout(60) {
        team::start();
        let owner = spawn_on(1, LOW, || {
            let guard = LOCKS[0].lock();
            go_on_behind_a_hog(1);
            assert_eq!(level(), HIGH, "it runs, so it was lent a level");
            for _ in 0..5 {
                yield_now(); // to nobody
            }
            drop(guard);
            assert_eq!(level(), LOW, "it has given it back");
        });
        spawn_on(0, HIGH, || {
            await_step(1);
            drop(LOCKS[0].lock());
            STEP.store(DONE, Ordering::Release);
        }).detach();
        team::run();
        owner.try_join().expect("it has ended");
    }

    fn a_level_goes_along_a_chain_over_four_cores_and_back() cores(4) timeout(60) {
        team::start();
        // The fiber of core 3 has lock 0, that of core 2 waits for it and has lock 1, and so on.
        let last = spawn_on(3, LOW, || {
            let guard = LOCKS[0].lock();
            STEP.store(1, Ordering::Release);
            while STEP.load(Ordering::Acquire) < 3 {
                yield_now();
            }
            go_on_behind_a_hog(3);
            assert_eq!(level(), HIGH, "it runs, so it was lent a level");
            let ids = *IDS.lock();
            let middle = [1, 2].map(|core| ids[core].map(|id| team().priority_of(id)));
            assert_eq!(middle, [Some(HIGH); 2], "the levels of those in the middle");
            drop(guard);
            assert_eq!(level(), LOW, "it has given it back");
        });
        let middle = [(2, 0), (1, 1)].map(|(core, lock)| spawn_on(core, LOW, move || {
            IDS.lock()[core] = current();
            await_step(lock + 1);
            let own = LOCKS[lock + 1].lock();
            STEP.store(lock + 2, Ordering::Release);
            drop(LOCKS[lock].lock());
            assert_eq!(level(), HIGH, "it still has what others wait for");
            drop(own);
            assert_eq!(level(), LOW, "it has given it back");
        }));
        spawn_on(0, HIGH, || {
            await_step(4);
            drop(LOCKS[2].lock());
            STEP.store(DONE, Ordering::Release);
        }).detach();
        team::run();
        last.try_join().expect("it has ended");
        middle.into_iter().for_each(|fiber| fiber.try_join().expect("it has ended"));
    }

    fn a_waiter_that_gives_up_takes_back_what_it_lent_along_the_chain() cores(4) timeout(60) {
        team::start();
        let last = spawn_on(2, LOW, || {
            let guard = LOCKS[0].lock();
            STEP.store(1, Ordering::Release);
            await_level(HIGH);
            STEP.store(3, Ordering::Release);
            await_level(LOW);
            drop(guard);
        });
        let middle = spawn_on(1, LOW, || {
            await_step(1);
            let own = LOCKS[1].lock();
            STEP.store(2, Ordering::Release);
            drop(LOCKS[0].lock());
            assert_eq!(level(), LOW, "nobody waits any more");
            drop(own);
        });
        let ids = [last.id(), middle.id()];
        spawn_on(0, HIGH, move || {
            await_step(2);
            while STEP.load(Ordering::Acquire) < 3 {
                let gave_up = LOCKS[1].lock_timeout(Duration::from_millis(5)).map(drop);
                assert_eq!(gave_up, Err(LockError::TimedOut));
                assert_eq!(ids.map(|id| team().priority_of(id)), [LOW; 2], "it has taken it back");
            }
        }).detach();
        team::run();
        last.try_join().expect("it has ended");
        middle.try_join().expect("it has ended");
    }

    /// A wait for a mutex does not heed cancellation, so the level stays lent.
    fn a_waiter_that_is_cancelled_lends_until_it_has_the_mutex() cores(2) timeout(60) {
        team::start();
        let waiter = spawn_on(0, HIGH, || {
            await_step(1);
            drop(LOCKS[0].lock());
            is_cancelled()
        });
        let owner = spawn_on(1, LOW, move || {
            let guard = LOCKS[0].lock();
            STEP.store(1, Ordering::Release);
            await_level(HIGH);
            waiter.cancel();
            for _ in 0..1_000 {
                yield_now();
                assert_eq!(level(), HIGH);
            }
            drop(guard);
            assert_eq!(level(), LOW);
            waiter.join().expect("it returns")
        });
        team::run();
        assert!(owner.try_join().expect("it has ended"), "it was cancelled");
    }
}

/// The step of a test at which its hogs end.
const DONE: usize = 100;
/// The ids of fibers, by core.
static IDS: IrqMutex<[Option<FiberId>; 4]> = IrqMutex::new([None; 4]);

/// Lets a fiber of middle priority run on this core that yields until the test is done. It returns when the caller runs again
/// although the other one is ready.
fn go_on_behind_a_hog(core: usize) {
    let hog = spawn_on(core, Priority::NORMAL, || {
        STEP.fetch_add(1, Ordering::AcqRel);
        HOGS.fetch_add(1, Ordering::Relaxed);
        while STEP.load(Ordering::Acquire) != DONE {
            yield_now();
        }
    });
    hog.detach();
    let before = HOGS.load(Ordering::Relaxed);
    yield_now();
    assert_eq!(HOGS.load(Ordering::Relaxed), before + 1, "the hog has run");
}

#[track_caller]
fn spawn_on<T: Send + 'static>(
    core: usize,
    priority: Priority,
    closure: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    let builder = team().builder().on(Core(core)).priority(priority);
    builder.spawn(&CELLS, closure).expect("a cell is free")
}

/// Returns the level at which the running fiber is scheduled.
fn level() -> Priority {
    team().priority_of(current().expect("a fiber runs"))
}

fn await_level(expected: Priority) {
    while level() != expected {
        yield_now();
    }
}

fn await_step(step: usize) {
    while STEP.load(Ordering::Acquire) < step {
        yield_now();
    }
}
