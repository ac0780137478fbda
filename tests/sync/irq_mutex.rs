//! The interrupt-safe lock, and spin locks that yield.

use crate::{panic_of, settle, world};
use kfiber::platform::Host;
use kfiber::scheduler;
use kfiber::sync::IrqMutex;
use kfiber::sync::relax::YieldFiber;
use std::thread;

#[test]
fn it_guards_a_value_everywhere() {
    world!(S, CELLS);
    static VALUE: IrqMutex<u32> = IrqMutex::new(0);
    *VALUE.lock() += 1;
    S.spawn(&CELLS, || {
        *VALUE.lock() += 1;
        Host::interrupt(|| *VALUE.lock() += 1);
        *VALUE.try_lock().unwrap() += 1;
        scheduler::yield_now(); // waiting is allowed again
    })
    .unwrap()
    .detach();
    S.run();
    assert_eq!(*VALUE.lock(), 4);
    assert_eq!(IrqMutex::new(5).into_inner(), 5);
}

#[test]
fn waiting_with_a_guard_panics() {
    world!(S, CELLS);
    static VALUE: IrqMutex<()> = IrqMutex::new(());
    static OTHER: IrqMutex<()> = IrqMutex::new(());
    S.spawn(&CELLS, || {
        let outer = VALUE.lock();
        let inner = OTHER.lock();
        let message = panic_of(scheduler::yield_now);
        assert!(message.contains("interrupts off"), "{message}");
        drop(inner);
        assert!(panic_of(scheduler::yield_now).contains("interrupts off"));
        drop(outer);
        scheduler::yield_now();
    })
    .unwrap()
    .detach();
    S.run();
}

#[test]
fn locking_twice_panics_and_trying_does_not() {
    let value = IrqMutex::new(());
    let guard = value.lock();
    assert!(value.try_lock().is_none());
    assert!(panic_of(|| value.lock()).contains("holds it already"));
    drop(guard);
    drop(value.lock());
}

#[test]
fn guards_dropped_in_the_wrong_order_are_noticed() {
    let (first, second) = (IrqMutex::new(()), IrqMutex::new(()));
    let outer = first.lock();
    let inner = second.lock();
    drop(outer);
    assert!(panic_of(|| drop(inner)).contains("not dropped in the reverse order"));
    drop((first.lock(), second.lock()).1);
}

#[test]
fn threads_exclude_each_other() {
    static VALUE: IrqMutex<u32> = IrqMutex::new(0);
    const ROUNDS: u32 = if cfg!(miri) { 50 } else { 5_000 };
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    *VALUE.lock() += 1;
                }
            });
        }
    });
    assert_eq!(*VALUE.lock(), 3 * ROUNDS);
}

#[test]
fn a_spin_lock_that_yields_lets_its_holder_run() {
    world!(S, CELLS, LOG);
    static VALUE: spin::mutex::SpinMutex<u32, YieldFiber> = spin::mutex::SpinMutex::new(0);
    for number in 0..3 {
        S.spawn(&CELLS, move || {
            let mut value = VALUE.lock();
            settle();
            *value += 1;
            LOG.say(number);
        })
        .unwrap()
        .detach();
    }
    S.run();
    assert_eq!(*VALUE.lock(), 3, "outside of fibers it spins");
    assert!(LOG.all().starts_with('0'));
}

#[test]
fn where_waiting_is_forbidden_it_spins() {
    world!(S, CELLS);
    static VALUE: spin::mutex::SpinMutex<u32, YieldFiber> = spin::mutex::SpinMutex::new(0);
    S.spawn(&CELLS, || {
        let guard = VALUE.lock();
        let other = thread::spawn(|| Host::interrupt(|| *VALUE.lock()));
        thread::yield_now();
        drop(guard);
        assert_eq!(other.join().unwrap(), 0);
        <YieldFiber as spin::RelaxStrategy>::relax();
        Host::interrupt(<YieldFiber as spin::RelaxStrategy>::relax);
    })
    .unwrap()
    .detach();
    S.run();
}
