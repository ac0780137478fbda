//! The state that follows a fiber: which is saved and which is loaded at each switch, with a state that only notes it.

use core::sync::atomic::{AtomicU64, Ordering};
use kfiber::platform::{Host, Nanoseconds, Platform, SwitchHook};
use kfiber::scheduler::{FiberPool, Scheduler, yield_now};
use kfiber::switch_state::{PerFiber, SwitchState};
use std::sync::Mutex;

/// What a processor would hold: one number.
struct Register(Mutex<u64>);

impl Register {
    fn get(&self) -> u64 {
        *self.0.lock().expect("nobody panics")
    }

    fn set(&self, value: u64) {
        *self.0.lock().expect("nobody panics") = value;
    }
}

/// A value for a register.
struct Value {
    register: &'static Register,
    value: AtomicU64,
}

impl Value {
    const fn new(register: &'static Register, value: u64) -> Self {
        let value = AtomicU64::new(value);
        Self { register, value }
    }
}

impl SwitchState for Value {
    unsafe fn save(&self) {
        self.value.store(self.register.get(), Ordering::Relaxed);
    }

    unsafe fn load(&self) {
        self.register.set(self.value.load(Ordering::Relaxed));
    }
}

/// The host, with a hook.
struct Hooked(Host, SwitchHook);

// SAFETY: as that of `Host`, which does the work.
unsafe impl Platform for Hooked {
    fn now(&self) -> Nanoseconds {
        self.0.now()
    }

    fn set_timer(&self, deadline: Nanoseconds) {
        self.0.set_timer(deadline);
    }

    fn idle(&self) {
        self.0.idle();
    }

    fn switch_hook(&self) -> Option<SwitchHook> {
        Some(self.1)
    }
}

#[test]
fn each_fiber_finds_its_own_value_and_all_others_that_from_outside() {
    static REGISTER: Register = Register(Mutex::new(1));
    static STATES: PerFiber<Value> = PerFiber::new(Value::new(&REGISTER, 0));
    static SCHEDULER: Scheduler<Hooked> = Scheduler::new(Hooked(Host::new(), |prev, next| {
        // SAFETY: this is the hook.
        unsafe { STATES.on_switch(prev, next) }
    }));
    static CELLS: FiberPool<65536, 4> = FiberPool::new();

    let with_own = [10_u64, 20].map(|own| {
        SCHEDULER.spawn(&CELLS, move || {
            assert_eq!(REGISTER.get(), 1, "before it has its own");
            yield_now();
            STATES.with(&mut Value::new(&REGISTER, own), |_| {
                for round in 0..5 {
                    assert_eq!(REGISTER.get(), own + round);
                    REGISTER.set(own + round + 1);
                    yield_now();
                }
                // An inner state hides the outer one.
                let mut inner = Value::new(&REGISTER, own + 100);
                STATES.with(&mut inner, |_| {
                    yield_now();
                    assert_eq!(REGISTER.get(), own + 100);
                    REGISTER.set(own + 101);
                });
                assert_eq!(inner.value.load(Ordering::Relaxed), own + 101);
                assert_eq!(REGISTER.get(), own + 5);
                yield_now();
                assert_eq!(REGISTER.get(), own + 5);
            });
            assert_eq!(REGISTER.get(), 1, "afterwards");
            yield_now();
            assert_eq!(REGISTER.get(), 1);
        })
    });
    let without = SCHEDULER.spawn(&CELLS, || {
        for _ in 0..20 {
            assert_eq!(REGISTER.get(), 1);
            yield_now();
        }
    });
    SCHEDULER.run();
    for fiber in with_own {
        let fiber = fiber.expect("a cell is free");
        fiber.try_join().expect("nothing was wrong in it");
    }
    let without = without.expect("a cell is free");
    without.try_join().expect("nothing was wrong in it");
    assert_eq!(REGISTER.get(), 1, "outside");
}

#[test]
fn what_is_changed_outside_is_found_there_again() {
    static REGISTER: Register = Register(Mutex::new(1));
    static STATES: PerFiber<(Value, Value)> =
        PerFiber::new((Value::new(&REGISTER, 0), Value::new(&OTHER, 0)));
    static OTHER: Register = Register(Mutex::new(2));
    static SCHEDULER: Scheduler<Hooked> = Scheduler::new(Hooked(Host::new(), |prev, next| {
        // SAFETY: this is the hook.
        unsafe { STATES.on_switch(prev, next) }
    }));
    static CELLS: FiberPool<65536, 4> = FiberPool::new();

    let changes = SCHEDULER.spawn(&CELLS, || {
        REGISTER.set(5);
        yield_now();
        assert_eq!((REGISTER.get(), OTHER.get()), (5, 2));
    });
    let own = SCHEDULER.spawn(&CELLS, || {
        let mut state = (Value::new(&REGISTER, 30), Value::new(&OTHER, 40));
        STATES.with(&mut state, |_| {
            yield_now();
            assert_eq!((REGISTER.get(), OTHER.get()), (30, 40));
        });
        assert_eq!((REGISTER.get(), OTHER.get()), (5, 2));
    });
    SCHEDULER.run();
    changes
        .expect("a cell is free")
        .try_join()
        .expect("it is right");
    own.expect("a cell is free")
        .try_join()
        .expect("it is right");
}
