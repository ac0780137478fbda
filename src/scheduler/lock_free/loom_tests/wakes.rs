//! Models of a fiber that parks while other code wakes it: no wake-up is lost, and none puts it
//! into the inbox twice.

use super::super::inbox::{Inbox, Link};
use super::super::state::{State, Woken};
use super::std::vec::Vec;
use super::{Core, Fiber, model};
use core::ptr;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use loom::thread;

#[test]
fn loom_park_and_unpark() {
    model("park and unpark", || {
        let core = Core::new(true);
        let message = Arc::new(AtomicU64::new(0));
        let waker = {
            let (core, message) = (Arc::clone(&core), Arc::clone(&message));
            thread::spawn(move || {
                message.store(7, Ordering::Relaxed);
                let _ = core.signal(State::give_token);
            })
        };
        core.wait_until(|| core.fiber.state.take_token());
        assert_eq!(message.load(Ordering::Relaxed), 7);
        waker.join().expect("does not panic");
    });
}

#[test]
fn loom_two_wakers() {
    model("two wakers", || {
        let core = Core::new(true);
        let flags = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
        let wakers = [0, 1].map(|number| {
            let (core, flags) = (Arc::clone(&core), Arc::clone(&flags));
            thread::spawn(move || {
                flags[number].store(true, Ordering::Relaxed);
                core.signal(|state, _| state.wake())
            })
        });
        core.wait_until(|| flags.iter().all(|flag| flag.load(Ordering::Relaxed)));
        for waker in wakers {
            assert_ne!(waker.join().expect("does not panic"), Woken::Stale);
        }
    });
}

#[test]
fn loom_a_wake_before_the_wait_and_one_during_it() {
    model("a wake before the wait and one during it", || {
        let core = Core::new(true);
        let flag = Arc::new(AtomicBool::new(false));
        let _ = core.signal(|state, _| state.wake());
        let waker = {
            let (core, flag) = (Arc::clone(&core), Arc::clone(&flag));
            thread::spawn(move || {
                flag.store(true, Ordering::Relaxed);
                core.signal(|state, _| state.wake())
            })
        };
        core.wait_until(|| flag.load(Ordering::Relaxed));
        let _ = waker.join().expect("does not panic");
    });
}

#[test]
fn loom_cancel_and_park() {
    model("cancel and park", || {
        let core = Core::new(true);
        let cancel = {
            let core = Arc::clone(&core);
            thread::spawn(move || core.signal(State::cancel))
        };
        let unpark = {
            let core = Arc::clone(&core);
            thread::spawn(move || core.signal(State::give_token))
        };
        core.wait_until(|| core.fiber.state.is_cancelled());
        core.wait_until(|| core.fiber.state.take_token());
        assert_ne!(cancel.join().expect("does not panic"), Woken::Stale);
        assert_ne!(unpark.join().expect("does not panic"), Woken::Stale);
    });
}

#[test]
fn loom_cancelled_before_it_parks() {
    model("cancelled before it parks", || {
        let core = Core::new(true);
        let cancel = {
            let core = Arc::clone(&core);
            thread::spawn(move || core.signal(State::cancel))
        };
        let unpark = {
            let core = Arc::clone(&core);
            thread::spawn(move || core.signal(State::give_token))
        };
        // A fiber whose wait was to end, but which somebody else has put into the inbox meanwhile,
        // has to come out of the inbox.
        while !core.fiber.state.is_cancelled() {
            if core.fiber.state.park_unless_cancelled(|| true) {
                core.until_taken();
            }
        }
        if core.fiber.state.park_unless_cancelled(|| true) {
            core.until_taken();
        }
        assert_ne!(cancel.join().expect("does not panic"), Woken::Stale);
        assert_ne!(unpark.join().expect("does not panic"), Woken::Stale);
        assert!(core.inbox.is_empty(), "ready, and in the inbox too");
        core.wait_until(|| core.fiber.state.take_token());
    });
}

#[test]
fn loom_cancelled_and_shielded() {
    model("cancelled and shielded", || {
        let core = Core::new(true);
        assert_eq!(core.signal(State::cancel), Woken::Nothing);
        assert!(!core.fiber.state.park(), "the cancellation has woken it");
        let unpark = {
            let core = Arc::clone(&core);
            thread::spawn(move || core.signal(State::give_token))
        };
        while !core.fiber.state.take_token() {
            if core.fiber.state.park_unless_cancelled(|| false) {
                core.until_taken();
            }
        }
        assert_ne!(unpark.join().expect("does not panic"), Woken::Stale);
        assert!(core.inbox.is_empty());
    });
}

#[test]
fn loom_deadline_and_unpark() {
    model("deadline and unpark", || {
        let core = Core::new(true);
        let waker = {
            let core = Arc::clone(&core);
            thread::spawn(move || core.signal(State::give_token))
        };
        if core.fiber.state.park() {
            // The deadline has passed. Either this code makes the fiber ready, or the waker was
            // first and has put it into the inbox.
            if !core.fiber.state.wake_as_owner() {
                core.until_taken();
            }
        }
        let woken = waker.join().expect("does not panic");
        assert!(!core.drain(), "ready, and in the inbox too: {woken:?}");
        assert!(core.fiber.state.take_token());
    });
}

#[test]
fn loom_a_wake_by_the_owner_and_two_by_another() {
    model("a wake by the owner and two by another", || {
        let core = Core::new(true);
        let count = Arc::new(AtomicU64::new(0));
        let waker = {
            let (core, count) = (Arc::clone(&core), Arc::clone(&count));
            thread::spawn(move || {
                for number in [1, 2] {
                    count.store(number, Ordering::Relaxed);
                    assert_ne!(core.signal(|state, _| state.wake()), Woken::Stale);
                }
            })
        };
        if core.fiber.state.park() && !core.fiber.state.wake_as_owner() {
            core.until_taken();
        }
        assert!(!core.fiber.state.is_waiting());
        core.wait_until(|| count.load(Ordering::Relaxed) == 2);
        waker.join().expect("does not panic");
        assert!(!core.drain(), "ready, and in the inbox too");
    });
}

#[test]
fn loom_spawn_and_unpark() {
    model("spawn and unpark", || {
        let core = Core::new(false);
        let wakers = [0, 1].map(|number| {
            let core = Arc::clone(&core);
            thread::spawn(move || {
                if number == 0 {
                    core.post(&core.fiber); // made by another core
                } else {
                    assert_ne!(core.signal(State::give_token), Woken::Stale);
                }
            })
        });
        core.until_taken();
        core.wait_until(|| core.fiber.state.take_token());
        for waker in wakers {
            waker.join().expect("does not panic");
        }
        assert!(core.inbox.is_empty());
    });
}

#[test]
fn loom_inbox_of_two_producers() {
    /// A node with a number.
    struct Message {
        fiber: Fiber,
        number: usize,
    }
    // SAFETY: always the same link, which nothing else uses. (A message begins with its fiber's
    // link.)
    unsafe impl super::Node for Message {
        fn link(&self) -> &Link<Self> {
            // SAFETY: links of all nodes are the same word, a pointer.
            unsafe { &*ptr::from_ref(&self.fiber.link).cast() }
        }
    }

    model("inbox of two producers", || {
        let messages: Vec<_> = (0..4)
            .map(|number| Message {
                fiber: Fiber::new(true).0,
                number,
            })
            .collect();
        let shared = Arc::new((Inbox::new(), messages));
        let producers = [0, 2].map(|first| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                for message in &shared.1[first..first + 2] {
                    // SAFETY: each is pushed once, and lives until the end.
                    unsafe { shared.0.push(message) };
                }
            })
        });
        let mut seen = Vec::new();
        let mut drain = || {
            // SAFETY: this thread alone takes; messages live until the end.
            unsafe {
                shared
                    .0
                    .drain(|message: *const Message| seen.push((*message).number));
            }
        };
        drain();
        for producer in producers {
            producer.join().expect("does not panic");
        }
        drain();
        let of = |first| {
            seen.iter()
                .filter(move |number| (first..first + 2).contains(*number))
                .copied()
        };
        assert!(of(0).eq([0, 1]) && of(2).eq([2, 3]), "{seen:?}");
    });
}

#[test]
fn loom_timer_requests_and_drains() {
    model("timer requests and drains", || {
        let core = Core::new(true);
        let clock = Arc::new(AtomicU64::new(0));
        let timer = {
            let (core, clock) = (Arc::clone(&core), Arc::clone(&clock));
            thread::spawn(move || {
                for now in [1, 2] {
                    clock.store(now, Ordering::Relaxed);
                    if core.fiber.state.request_timer_check() {
                        core.post(&core.fiber); // the fiber plays root
                    }
                }
            })
        };
        let mut seen = 0;
        while seen < 2 {
            let mut times = 0;
            // SAFETY: this thread alone takes.
            unsafe {
                core.inbox.drain(|_root| {
                    times += 1;
                    let _was_asked = core.fiber.state.take_requests();
                    seen = clock.load(Ordering::Relaxed);
                });
            }
            assert!(times <= 1, "root was in the inbox twice");
            if seen < 2 && core.inbox.is_empty() {
                core.idle();
            }
        }
        timer.join().expect("does not panic");
    });
}
