//! Locks of `lock_api`: who has one when its holder fails for good, and an account that many use.

use core::{cell::Cell, time::Duration};

use kfiber::scheduler::{sleep, yield_now};
use kfiber_lock_api::{Mutex, MutexGuard, ReentrantMutex, RwLock, RwLockWriteGuard};
use tests_qemu::{kernel_test, print, println};

use crate::world::{contain, message_of, run_all, spawn};

const MILLISECOND: Duration = Duration::from_millis(1);

kernel_test! {
    /// The example: accounts that fibers move money between, and one that looks at all of them.
    fn nothing_is_lost_between_accounts_that_many_fibers_use() {
        static ACCOUNTS: [Mutex<u32>; 2] = [const { Mutex::new(1_000) }; 2];
        static TRANSFERS: RwLock<u32> = RwLock::new(0);
        for amount in 1..=6 {
            spawn("teller", move || {
                for _ in 0..20 {
                    let mut from = ACCOUNTS[0].lock();
                    let before = *from;
                    yield_now(); // the others wait, and do not see half a transfer
                    *from = before - amount;
                    let from = MutexGuard::map(from, |balance| balance);
                    *ACCOUNTS[1].lock() += amount;
                    drop(from);
                    *TRANSFERS.write() += 1;
                    sleep(MILLISECOND / 20).expect("nobody cancels it");
                }
            })
            .detach();
        }
        let auditor = spawn("auditor", || {
            loop {
                let (first, second) = (ACCOUNTS[0].lock(), ACCOUNTS[1].lock());
                assert_eq!(*first + *second, 2_000);
                let seen = RwLockWriteGuard::downgrade(TRANSFERS.write());
                if *seen == 6 * 20 {
                    return (*first, *second);
                }
                drop((first, second, seen));
                yield_now();
            }
        });
        run_all();
        let moved = 20 * (1 + 2 + 3 + 4 + 5 + 6);
        assert_eq!(auditor.try_join().expect("ended"), (1_000 - moved, 1_000 + moved));
    }

    fn a_fiber_that_fails_keeps_the_mutex_and_everybody_is_told_who_it_was() {
        static LOCK: Mutex<u32> = Mutex::new(7);
        contain();
        spawn("bad", || {
            let _guard = LOCK.lock();
            yield_now();
            panic!("by plan");
        })
        .detach();
        let waits = spawn("waits", || *LOCK.lock());
        let asks = spawn("asks", || LOCK.try_lock_for(1_000 * MILLISECOND).map(|value| *value));
        run_all();
        for message in [message_of(waits.try_join()), message_of(asks.try_join())] {
            assert!(message.starts_with("a mutex is poisoned: fiber \"bad\", which "), "{message}");
        }
        let late = spawn("late", || {
            assert!(LOCK.is_locked() && LOCK.try_lock().is_none());
            // SAFETY: we unlock nothing through it.
            let raw = unsafe { LOCK.raw() };
            // SAFETY: a number, which nobody else uses.
            assert!(raw.is_poisoned() && unsafe { raw.clear_poison() });
            *LOCK.lock()
        });
        run_all();
        assert_eq!(late.try_join().expect("ended"), 7);
    }

    fn a_writer_that_fails_keeps_the_lock_and_a_reader_lets_others_read() {
        static WRITTEN: RwLock<u32> = RwLock::new(0);
        static READ: RwLock<u32> = RwLock::new(7);
        contain();
        spawn("bad", || {
            let _writer = WRITTEN.write();
            let _reader = READ.read();
            yield_now();
            panic!("by plan");
        })
        .detach();
        let reads = spawn("reads", || *WRITTEN.read());
        let writes = spawn("writes", || *WRITTEN.write() = 1);
        run_all();
        for message in [message_of(reads.try_join()), message_of(writes.try_join())] {
            assert!(message.contains("a reader-writer lock is poisoned"), "{message}");
        }
        let late = spawn("late", || {
            assert!(READ.try_write_for(MILLISECOND).is_none());
            *READ.read()
        });
        let deadlock = spawn("deadlock", || *READ.write() = 1);
        run_all();
        assert_eq!(late.try_join().expect("ended"), 7);
        let message = message_of(deadlock.try_join());
        assert!(message.starts_with("deadlock: a fiber waits for "), "{message}");
    }

    fn a_console_that_its_owner_may_lock_again_keeps_lines_whole() {
        static CONSOLE: ReentrantMutex<Cell<[&str; 4]>> = ReentrantMutex::new(Cell::new([""; 4]));
        /// Prints a part of a line, as any function may that does not know who locked.
        fn print_part(part: &'static str) {
            let console = CONSOLE.lock();
            print!("{part} ");
            let [_, second, third, fourth] = console.get();
            console.set([second, third, fourth, part]);
        }
        for name in ["one", "two"] {
            spawn(name, move || {
                let _line = CONSOLE.lock();
                print_part(name);
                yield_now(); // the other one waits
                print_part(name);
                println!();
            })
            .detach();
        }
        run_all();
        let printed = spawn("reads", || CONSOLE.lock().get());
        run_all();
        assert_eq!(printed.try_join().expect("ended"), ["one", "one", "two", "two"]);
    }
}
