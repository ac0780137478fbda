//! Locks whose guards were forgotten, and that are unlocked without them.
#![expect(clippy::mem_forget, reason = "this is what the functions are for")]

use crate::{panic_of, settle, world};
use core::mem;
use kfiber::platform::Host;
use kfiber::scheduler;
use kfiber::sync::{IrqMutex, Mutex, RwLock};
use std::thread;

#[test]
fn a_mutex_is_handed_over_as_by_its_guard() {
    world!(S, CELLS, LOG);
    static VALUE: Mutex<()> = Mutex::new(());
    S.spawn(&CELLS, || {
        mem::forget(VALUE.lock());
        settle();
        // SAFETY: the guard was forgotten.
        unsafe { VALUE.force_unlock() };
        assert!(VALUE.try_lock().is_none(), "it is the waiter's already");
        drop(VALUE.lock());
        LOG.say("again");
    })
    .unwrap()
    .detach();
    S.spawn(&CELLS, || {
        mem::forget(VALUE.lock());
        LOG.say("waiter");
        // SAFETY: the guard was forgotten.
        unsafe { VALUE.force_unlock() };
    })
    .unwrap()
    .detach();
    S.run();
    assert_eq!(LOG.all(), "waiter again");
    assert!(!VALUE.is_locked());
}

#[test]
fn a_writer_gets_a_lock_when_the_last_reader_has_unlocked() {
    world!(S, CELLS, LOG);
    static VALUE: RwLock<()> = RwLock::new(());
    for number in 0..6 {
        S.spawn(&CELLS, move || {
            mem::forget(VALUE.read());
            settle();
            LOG.say(number);
            // SAFETY: the guard was forgotten.
            unsafe { VALUE.force_unlock_read() };
        })
        .unwrap()
        .detach();
    }
    S.spawn(&CELLS, || {
        mem::forget(VALUE.write());
        LOG.say("writer");
        assert!(VALUE.try_read().is_none() && VALUE.is_locked_exclusive());
        // SAFETY: the guard was forgotten.
        unsafe { VALUE.force_unlock_write() };
        assert!(VALUE.try_write().is_some() && !VALUE.is_locked_exclusive());
        mem::forget(VALUE.write());
        // SAFETY: the guard was forgotten.
        unsafe { VALUE.force_downgrade() };
        assert!(VALUE.try_read().is_some() && VALUE.try_write().is_none());
        // SAFETY: it was downgraded, so the fiber reads.
        unsafe { VALUE.force_unlock_read() };
        assert!(!VALUE.is_locked());
    })
    .unwrap()
    .detach();
    S.run();
    assert_eq!(LOG.all(), "0 1 2 3 4 5 writer");
}

/// On a host, an interface with separate functions can be called by the wrong fiber. It is told, and nothing is unlocked.
#[test]
fn a_lock_unlocked_by_another_fiber_is_a_panic() {
    world!(S, CELLS);
    static MUTEX: Mutex<()> = Mutex::new(());
    static READ: RwLock<()> = RwLock::new(());
    static WRITTEN: RwLock<()> = RwLock::new(());
    let owner = S.builder().name("owner").spawn(&CELLS, || {
        mem::forget((MUTEX.lock(), READ.read(), WRITTEN.write()));
        settle();
        // SAFETY: the guards were forgotten.
        unsafe { MUTEX.force_unlock() };
        // SAFETY: as above.
        unsafe { READ.force_unlock_read() };
        // SAFETY: as above.
        unsafe { WRITTEN.force_unlock_write() };
    });
    let thief = S.builder().name("thief").spawn(&CELLS, || {
        // SAFETY: the calls panic, which is what is tested.
        let mutex = panic_of(|| unsafe { MUTEX.force_unlock() });
        assert!(
            mutex.contains("\"owner\"") && mutex.contains("\"thief\""),
            "{mutex}"
        );
        // SAFETY: as above.
        let read = panic_of(|| unsafe { READ.force_unlock_read() });
        assert!(read.contains("a fiber that does not read"), "{read}");
        // SAFETY: as above.
        let written = panic_of(|| unsafe { WRITTEN.force_unlock_write() });
        assert!(written.contains("\"owner\""), "{written}");
        assert!(MUTEX.try_lock().is_none());
        assert!(READ.try_write().is_none() && WRITTEN.try_read().is_none());
    });
    owner.unwrap().detach();
    thief.unwrap().detach();
    S.run();
    // SAFETY: the call panics, since no fiber runs.
    let outside = panic_of(|| unsafe { READ.force_unlock_read() });
    assert!(outside.contains("does not read"), "{outside}");
    assert!(!MUTEX.is_locked());
}

#[test]
fn a_core_knows_which_locks_it_holds() {
    static HELD: IrqMutex<()> = IrqMutex::new(());
    assert!(!HELD.is_held_by_this_core());
    let guard = HELD.lock();
    assert!(HELD.is_held_by_this_core());
    assert!(Host::interrupt(|| HELD.is_held_by_this_core()));
    let elsewhere = thread::spawn(|| HELD.is_held_by_this_core());
    assert!(!elsewhere.join().unwrap());
    drop(guard);
    assert!(!HELD.is_held_by_this_core());
}

#[test]
fn fibers_that_exist_at_the_same_time_have_different_addresses() {
    world!(S, CELLS);
    let fibers = [(); 8].map(|()| S.spawn(&CELLS, settle).unwrap());
    let mut addresses = fibers.each_ref().map(|fiber| fiber.id().address());
    addresses.sort_unstable();
    assert!(addresses.windows(2).all(|pair| pair[0] != pair[1]));
    let own = S.spawn(&CELLS, || ()); // all eight cells are taken
    assert!(own.is_err());
    S.run();
    drop(fibers);
    let own = S
        .spawn(&CELLS, || scheduler::current().unwrap().address())
        .unwrap();
    let id = own.id();
    S.run();
    assert_eq!(own.try_join().unwrap(), id.address());
}
