//! What a fiber that fails has locked stays locked for good, and everybody is told so.

use kfiber::{
    platform::NEVER,
    scheduler::{Failure, yield_now},
    sync::{Condvar, LockError, Mutex, Once, RwLock, Semaphore},
};
use tests_qemu::kernel_test;

use super::{contain, failure_of, kinds::Kind, reports, run_all, spawn};

/// The message of a panic.
#[track_caller]
fn message(failure: &Failure) -> &'static str {
    match failure {
        Failure::Panicked(panic) => panic.message,
        other => panic!("{other}"),
    }
}

kernel_test! {
    fn those_who_wait_for_a_mutex_are_told_each_in_its_own_way() {
        static LOCK: Mutex<u32> = Mutex::new(0);
        for kind in [Kind::Panic, Kind::PageFault] {
            if reports() == 0 {
                contain();
            }
            let holder = spawn(move || {
                let _guard = LOCK.lock();
                (0..5).for_each(|_| yield_now());
                kind.fail()
            });
            let panics = spawn(|| *LOCK.lock());
            let asks = spawn(|| LOCK.lock_until(NEVER).map(|value| *value));
            run_all();
            kind.check(failure_of(holder.try_join()));
            let poisoned = message(failure_of(panics.try_join()));
            assert!(poisoned.starts_with("a mutex is poisoned: fiber \"\", which held it, "), "{poisoned}");
            assert_eq!(asks.try_join().expect("ended"), Err(LockError::Poisoned));

            let late = spawn(|| {
                assert!(LOCK.is_poisoned() && LOCK.is_locked());
                assert!(LOCK.try_lock().is_none());
                assert_eq!(LOCK.lock_until(NEVER).map(|value| *value), Err(LockError::Poisoned));
                // SAFETY: a number, which nobody else uses.
                assert!(unsafe { LOCK.clear_poison() });
                // SAFETY: as above.
                assert!(!unsafe { LOCK.clear_poison() });
                *LOCK.lock()
            });
            run_all();
            assert_eq!(late.try_join().expect("ended"), 0);
        }
    }

    fn clearing_the_poison_hands_the_mutex_to_those_who_wait_by_then() {
        static LOCK: Mutex<u32> = Mutex::new(0);
        contain();
        spawn(|| {
            let _guard = LOCK.lock();
            yield_now();
            yield_now();
            Kind::Division.fail()
        })
        .detach();
        // Of two who wait, the first one to run clears it before the second has looked again.
        let clears = spawn(|| {
            let waited = LOCK.lock_until(NEVER).map(|value| *value);
            // SAFETY: a number, which nobody else uses.
            (waited, unsafe { LOCK.clear_poison() })
        });
        let gets = spawn(|| LOCK.lock_until(NEVER).map(|mut value| { *value += 1; *value }));
        run_all();
        let (clears, gets) = (clears.try_join().expect("ended"), gets.try_join().expect("ended"));
        assert!(
            (clears, gets) == ((Err(LockError::Poisoned), true), Ok(1))
                || (clears, gets) == ((Err(LockError::Poisoned), true), Err(LockError::Poisoned)),
            "{clears:?} {gets:?}"
        );
        assert!(!LOCK.is_locked());
    }

    fn a_writer_that_fails_poisons_and_a_reader_reads_for_good() {
        static WRITTEN: RwLock<u32> = RwLock::new(0);
        static READ: RwLock<u32> = RwLock::new(7);
        contain();
        spawn(|| {
            let _writer = WRITTEN.write();
            let _reader = READ.read();
            (0..3).for_each(|_| yield_now());
            Kind::GeneralProtection.fail()
        })
        .detach();
        let reads = spawn(|| WRITTEN.read_until(NEVER).map(|value| *value));
        let writes = spawn(|| WRITTEN.write_until(NEVER).map(|value| *value));
        let panics = spawn(|| *WRITTEN.read());
        run_all();
        assert_eq!(reads.try_join().expect("ended"), Err(LockError::Poisoned));
        assert_eq!(writes.try_join().expect("ended"), Err(LockError::Poisoned));
        let poisoned = message(failure_of(panics.try_join()));
        assert!(poisoned.contains("a reader-writer lock is poisoned"), "{poisoned}");
        let late = spawn(|| {
            assert!(WRITTEN.is_poisoned() && !READ.is_poisoned());
            // SAFETY: a number, which nobody else uses.
            assert!(unsafe { WRITTEN.clear_poison() });
            *WRITTEN.write() += *READ.read();
            assert!(READ.try_write().is_none());
            *WRITTEN.read()
        });
        run_all();
        assert_eq!(late.try_join().expect("ended"), 7);
    }

    fn the_next_makes_the_value_if_the_maker_fails() {
        static VALUE: Once<usize> = Once::new();
        contain();
        spawn(|| {
            VALUE.call_once(|| {
                (0..3).for_each(|_| yield_now());
                Kind::InvalidInstruction.fail()
            });
        })
        .detach();
        let waiters: [_; 3] = core::array::from_fn(|number| {
            spawn(move || *VALUE.call_once(|| { yield_now(); number }))
        });
        run_all();
        let made = *VALUE.get().expect("made");
        for waiter in waiters {
            assert_eq!(waiter.try_join().expect("ended"), made);
        }
    }

    fn one_who_waits_for_a_condition_is_told_when_it_wants_the_mutex_again() {
        static LOCK: Mutex<u32> = Mutex::new(0);
        static CHANGED: Condvar = Condvar::new();
        contain();
        let waits = spawn(|| {
            let mut value = LOCK.lock();
            let _never = CHANGED.wait(&mut value);
        });
        spawn(|| {
            let _guard = LOCK.lock();
            CHANGED.notify_one();
            Kind::Panic.fail()
        })
        .detach();
        run_all();
        let poisoned = message(failure_of(waits.try_join()));
        assert!(poisoned.starts_with("a mutex is poisoned"), "{poisoned}");
    }

    fn permits_of_one_that_fails_are_not_given_back() {
        static PERMITS: Semaphore = Semaphore::new(2);
        contain();
        spawn(|| {
            PERMITS.acquire().expect("there");
            Kind::Panic.fail()
        })
        .detach();
        run_all();
        assert_eq!(PERMITS.available(), 1);
    }
}
