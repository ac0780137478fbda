//! A deadlock's default panic, and that of a fiber that waits for itself, end one fiber. The others go on.

use core::sync::atomic::{AtomicUsize, Ordering};

use kfiber::{
    scheduler::{Failure, FatalReason, JoinHandle, yield_now},
    sync::{Mutex, Once, RwLock},
};
use tests_qemu::kernel_test;

use super::{contain, expect_fatal, failure_of, reports, run_all, spawn};

static TURNS: AtomicUsize = AtomicUsize::new(0);

/// Runs all, together with a bystander that must get to its end.
fn run_with_a_bystander() {
    let bystander = spawn(|| {
        for _ in 0..12 {
            TURNS.fetch_add(1, Ordering::Relaxed);
            yield_now();
        }
        TURNS.load(Ordering::Relaxed)
    });
    let before = TURNS.load(Ordering::Relaxed);
    run_all();
    assert_eq!(
        bystander.try_join().expect("it has nothing to do with it"),
        before + 12
    );
}

/// Checks that the fiber failed, with a panic that begins so.
#[track_caller]
fn assert_panicked<T>(fiber: JoinHandle<T>, beginning: &str) {
    match failure_of(fiber.try_join()) {
        Failure::Panicked(panic) => {
            assert!(panic.message.starts_with(beginning), "{}", panic.message);
        }
        other => panic!("{other}"),
    }
}

kernel_test! {
    fn a_deadlock_ends_the_fiber_that_closes_it_and_no_other() {
        static ONE: Mutex<u32> = Mutex::new(0);
        static TWO: Mutex<u32> = Mutex::new(0);
        contain();
        let ann = spawn(|| { let _one = ONE.lock(); yield_now(); *TWO.lock() += 1; });
        let bob = spawn(|| { let _two = TWO.lock(); yield_now(); *ONE.lock() += 1; });
        run_with_a_bystander();
        assert_panicked(bob, "deadlock: 2 fibers wait for each other");
        // It had what the other waits for, which is poisoned now.
        assert_panicked(ann, "a mutex is poisoned");
        assert_eq!(reports(), 2);
    }

    fn an_upgrade_of_the_own_read_lock_ends_one_fiber() {
        static LOCK: RwLock<u32> = RwLock::new(0);
        contain();
        let upgrades = spawn(|| { let _reads = LOCK.read(); *LOCK.write() += 1; });
        run_with_a_bystander();
        assert_panicked(upgrades, "deadlock: a fiber waits for itself");
        let reads = spawn(|| *LOCK.read());
        let writes = spawn(|| *LOCK.write() += 1);
        run_with_a_bystander();
        assert_eq!(reads.try_join().expect("others may read"), 0);
        assert_panicked(writes, "deadlock: a fiber waits for a lock whose holder has ended");
    }

    fn a_second_read_behind_a_writer_ends_one_fiber() {
        static LOCK: RwLock<u32> = RwLock::new(0);
        contain();
        let reads_twice = spawn(|| {
            let first = LOCK.read();
            yield_now();
            *first + *LOCK.read()
        });
        let writes = spawn(|| LOCK.write_timeout(core::time::Duration::from_millis(1)).is_ok());
        run_with_a_bystander();
        // The writer has a deadline, so it was no deadlock.
        assert_eq!(reads_twice.try_join().expect("the writer gave up"), 0);
        assert!(!writes.try_join().expect("ended"));

        let reads_twice = spawn(|| {
            let first = LOCK.read();
            yield_now();
            *first + *LOCK.read()
        });
        spawn(|| *LOCK.write() += 1).detach();
        spawn(move || {
            (0..12).for_each(|_| yield_now());
            assert_panicked(reads_twice, "deadlock: 2 fibers wait for each other");
            assert_eq!(reports(), 1);
            // The writer waits for one that has failed, which is all that is left in the end.
            expect_fatal(FatalReason::NotInFiber);
        })
        .detach();
        run_all();
        unreachable!("nothing can ever wake the writer");
    }

    fn locking_what_one_has_ends_one_fiber_whatever_it_is() {
        static MUTEX: Mutex<u32> = Mutex::new(0);
        static LOCK: RwLock<u32> = RwLock::new(0);
        static VALUE: Once<u32> = Once::new();
        contain();
        let mutex = spawn(|| { let _guard = MUTEX.lock(); *MUTEX.lock() += 1; });
        let lock = spawn(|| { let _guard = LOCK.write(); *LOCK.read() });
        let value = spawn(|| *VALUE.call_once(|| *VALUE.call_once(|| 1)));
        run_with_a_bystander();
        assert_panicked(mutex, "a mutex was locked by the fiber that holds it already");
        assert_panicked(lock, "a reader-writer lock was locked by the fiber that holds it to write");
        assert_panicked(value, "`call_once` was called in the closure of the same `Once`");
        assert_eq!(reports(), 3);
    }
}
