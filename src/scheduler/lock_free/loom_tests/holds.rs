//! Models of a look at a fiber that waits: what it has written down does not change meanwhile.

use super::super::state::{State, Woken};
use super::{Fiber, model};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

/// A fiber, and the record of its wait, which only the fiber writes, and only while it runs.
struct Waiting {
    fiber: Fiber,
    record: UnsafeCell<u32>,
}

// SAFETY: loom has its own opinion on what is shared how, which is the point.
unsafe impl Send for Waiting {}
// SAFETY: as above.
unsafe impl Sync for Waiting {}

impl Waiting {
    fn new() -> Arc<Self> {
        let (fiber, _generation) = Fiber::new(true);
        let record = UnsafeCell::new(0);
        Arc::new(Self { fiber, record })
    }

    fn write(&self, number: u32) {
        // SAFETY: loom checks that nobody reads it meanwhile.
        self.record.with_mut(|record| unsafe { *record = number });
    }

    /// The core of the fiber: it waits, is woken by `wake`, which makes it ready, and waits again.
    fn wait_twice(&self, wake: impl Fn(&State)) {
        for number in [1, 2] {
            self.write(number);
            if self.fiber.state.park() {
                wake(&self.fiber.state);
            }
        }
        self.write(3);
    }

    /// Another core.
    fn look(&self) {
        if self.fiber.state.hold_waiting() {
            // SAFETY: loom checks that nobody writes it meanwhile.
            let read = || self.record.with(|record| unsafe { *record });
            let number = read();
            assert!(number == 1 || number == 2, "it does not wait");
            assert_eq!(read(), number, "it went on");
            self.fiber.state.release();
        }
    }
}

fn look_while_woken(name: &'static str, wake: fn(&State)) {
    model(name, move || {
        let waiting = Waiting::new();
        let looking = {
            let waiting = Arc::clone(&waiting);
            thread::spawn(move || waiting.look())
        };
        waiting.wait_twice(wake);
        looking.join().expect("does not panic");
        assert!(!waiting.fiber.state.is_held());
    });
}

#[test]
fn loom_hold_against_wake() {
    look_while_woken("hold against wake", |state| {
        if state.wake() == Woken::Enqueue {
            state.unpark_from_inbox();
        }
    });
}

#[test]
fn loom_hold_against_wake_by_the_clock() {
    look_while_woken("hold against wake by the clock", |state| {
        assert!(state.wake_as_owner(), "it waits");
    });
}

/// A fiber that was cancelled before asks only after it has parked, and then goes on by itself.
#[test]
fn loom_hold_against_a_wait_that_a_cancellation_ends() {
    model("hold against a wait that a cancellation ends", || {
        let waiting = Waiting::new();
        let state = &waiting.fiber.state;
        assert_eq!(state.cancel(state.generation()), Woken::Nothing);
        assert!(!state.park(), "the cancellation has woken it");
        let looking = {
            let waiting = Arc::clone(&waiting);
            thread::spawn(move || waiting.look())
        };
        waiting.write(1);
        assert!(!state.park_unless_cancelled(|| true), "it is cancelled");
        waiting.write(3);
        looking.join().expect("does not panic");
    });
}
