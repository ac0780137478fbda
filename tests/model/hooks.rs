//! A switch hook runs inside the switch: whoever waits in it is told, before the stack is used up.

use crate::child;
use core::cell::Cell;
use core::time::Duration;
use kfiber::platform::{Core, Host, Nanoseconds, Platform, SwitchHook};
use kfiber::scheduler::{FiberPool, Scheduler, current, park, sleep, yield_now};
use kfiber::sync::{Mutex, Semaphore};
use std::thread;

/// What the program ends with.
const WORDS: &[&str] = &["switch hook", "wait"];

/// A host with a hook.
struct Hooked(Host);

// SAFETY: as that of `Host`, which does the work. The hooks below break the rule of the trait on purpose: they call what waits.
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
    fn kick(&self, core: Core) {
        self.0.kick(core);
    }
    fn switch_hook(&self) -> Option<SwitchHook> {
        Some(|_prev, _next| {
            if current().is_some() {
                DOES.get()();
            }
        })
    }
}

std::thread_local! {
    /// What the hook does.
    static DOES: Cell<fn()> = const { Cell::new(|| ()) };
}

static HOOKED: Scheduler<Hooked> = Scheduler::new(Hooked(Host::new()));
static CELLS: FiberPool<131072, 4> = FiberPool::new();

/// Three fibers that let each other run, with a hook that does this.
fn with(does: fn()) {
    DOES.set(does);
    for _ in 0..3 {
        let body = || (0..5).for_each(|_| yield_now());
        HOOKED.spawn(&CELLS, body).unwrap().detach();
    }
    HOOKED.run();
}

#[test]
fn a_hook_that_yields_ends_the_process_with_a_sentence() {
    child::aborts(WORDS, || with(yield_now));
}

#[test]
fn a_hook_that_sleeps_ends_the_process_with_a_sentence() {
    child::aborts(WORDS, || with(|| sleep(Duration::from_nanos(1)).unwrap()));
}

#[test]
fn a_hook_that_parks_ends_the_process_with_a_sentence() {
    child::aborts(WORDS, || with(|| park().unwrap()));
}

#[test]
fn a_hook_that_acquires_ends_the_process_with_a_sentence() {
    static PERMITS: Semaphore = Semaphore::new(0);
    child::aborts(WORDS, || with(|| PERMITS.acquire().unwrap()));
}

#[test]
fn a_hook_that_only_looks_is_called_for_each_switch() {
    static COUNT: Mutex<u32> = Mutex::new(0);
    child::passes(|| {
        with(|| {
            // A lock is tried, never waited for.
            if let Some(mut count) = COUNT.try_lock() {
                *count += 1;
            }
        });
        let seen = HOOKED.spawn(&CELLS, || *COUNT.lock()).unwrap();
        HOOKED.run();
        assert!(seen.try_join().unwrap() > 0);
    });
}

/// A host whose clock and timer do something that they must not.
struct Restless(Host);

// SAFETY: as for `Hooked`.
unsafe impl Platform for Restless {
    fn now(&self) -> Nanoseconds {
        if current().is_some() && IN.get() == Function::Now {
            DOES.get()();
        }
        self.0.now()
    }
    fn set_timer(&self, deadline: Nanoseconds) {
        if current().is_some() && IN.get() == Function::SetTimer {
            DOES.get()();
        }
        self.0.set_timer(deadline);
    }
    fn idle(&self) {
        self.0.idle();
    }
    fn kick(&self, core: Core) {
        if current().is_some() && IN.get() == Function::Kick {
            DOES.get()();
        }
        self.0.kick(core);
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Function {
    Now,
    SetTimer,
    Kick,
}

std::thread_local! {
    /// The function in which it is done.
    static IN: Cell<Function> = const { Cell::new(Function::Now) };
}

static RESTLESS: Scheduler<Restless> = Scheduler::new(Restless(Host::new()));

/// Fibers that sleep, on a platform that does this in this function.
fn sleep_while(function: Function, does: fn()) {
    IN.set(function);
    DOES.set(does);
    for _ in 0..3 {
        let body = || sleep(Duration::from_millis(1)).unwrap();
        RESTLESS.spawn(&CELLS, body).unwrap().detach();
    }
    RESTLESS.run();
}

/// What the program ends with.
const OF_PLATFORM: &[&str] = &["function of the platform", "wait"];

#[test]
fn a_clock_that_yields_ends_the_process_with_a_sentence() {
    child::aborts(OF_PLATFORM, || sleep_while(Function::Now, yield_now));
}

#[test]
fn a_timer_that_yields_ends_the_process_with_a_sentence() {
    child::aborts(OF_PLATFORM, || sleep_while(Function::SetTimer, yield_now));
}

#[test]
fn a_timer_that_sleeps_ends_the_process_with_a_sentence() {
    child::aborts(OF_PLATFORM, || {
        sleep_while(Function::SetTimer, || {
            sleep(Duration::from_millis(1)).unwrap();
        });
    });
}

/// A fiber that wakes one of another scheduler, which sleeps in its own thread, on a platform whose
/// kick does this.
fn wake_while_it(kicks: fn()) {
    static WAKES: Scheduler<Host> = Scheduler::new(Host::new());
    IN.set(Function::Kick);
    DOES.set(kicks);
    let parks = || while park().is_ok() {};
    let sleeper = RESTLESS.spawn(&CELLS, parks).unwrap();
    let wakes = move || {
        for _ in 0..1000 {
            sleeper.unparker().unpark();
            thread::sleep(Duration::from_millis(1));
        }
        sleeper.cancel();
    };
    let waker = WAKES.spawn(&CELLS, wakes).unwrap();
    let sleeps = thread::spawn(|| RESTLESS.run());
    WAKES.run();
    waker.try_join().unwrap();
    sleeps.join().unwrap();
}

#[test]
fn a_kick_that_yields_ends_the_process_with_a_sentence() {
    child::aborts(OF_PLATFORM, || wake_while_it(yield_now));
}

#[test]
fn a_kick_that_sleeps_ends_the_process_with_a_sentence() {
    child::aborts(OF_PLATFORM, || {
        wake_while_it(|| sleep(Duration::from_millis(1)).unwrap());
    });
}

#[test]
fn a_kick_that_panics_ends_the_process_with_a_sentence() {
    child::aborts(&["function of the platform", "panic"], || {
        wake_while_it(|| panic!("out of order"));
    });
}

/// With one core whoever wakes a fiber of another loop kicks, whether that loop sleeps or not.
#[cfg(not(feature = "smp"))]
#[test]
fn a_message_is_not_dropped_twice_if_the_kick_for_its_receiver_panics() {
    static SENDS: Scheduler<Host> = Scheduler::new(Host::new());
    static CHANNEL: kfiber::sync::Channel<Box<u32>, 1> = kfiber::sync::Channel::new();
    child::aborts(&["function of the platform", "panic"], || {
        IN.set(Function::Kick);
        DOES.set(|| panic!("out of order"));
        let receiver = RESTLESS.spawn(&CELLS, || CHANNEL.recv()).unwrap();
        RESTLESS.run_until_idle();
        let sends = || std::panic::catch_unwind(|| CHANNEL.send(Box::new(7)).is_ok()).is_ok();
        let sender = SENDS.spawn(&CELLS, sends).unwrap();
        SENDS.run();
        assert!(!sender.try_join().unwrap());
        RESTLESS.run();
        // The sender has dropped it while it unwound.
        drop(receiver.try_join().unwrap());
    });
}
