//! Models of a run loop that is woken from elsewhere, around the real state word and the real
//! inbox. Each model runs in all interleavings with up to three preemptions. A lost wake-up ends in
//! a deadlock, which loom reports.

extern crate std;

#[path = "loom_tests/cores.rs"]
mod cores;
#[path = "loom_tests/ends.rs"]
mod ends;
#[path = "loom_tests/holds.rs"]
mod holds;
#[path = "loom_tests/joiners.rs"]
mod joiners;
#[path = "loom_tests/levels.rs"]
mod levels;
#[path = "loom_tests/planted.rs"]
mod planted;
#[path = "loom_tests/wakes.rs"]
mod wakes;

use super::inbox::{Inbox, Link, Node};
use super::state::{State, Woken};
use core::ptr;
use loom::sync::{Arc, Condvar, Mutex};
use std::boxed::Box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{println, string::ToString as _};

/// A fiber without a stack.
struct Fiber {
    state: State,
    link: Link<Self>,
}

// SAFETY: always the same link, which nothing else uses.
unsafe impl Node for Fiber {
    fn link(&self) -> &Link<Self> {
        &self.link
    }
}

impl Fiber {
    /// Creates a fiber that has run already, or one that waits to be taken from the inbox for the
    /// first time.
    fn new(is_ready: bool) -> (Self, u32) {
        let state = State::new();
        let generation = state.begin(is_ready);
        let link = Link::new();
        (Self { state, link }, generation)
    }
}

/// A run loop with one fiber, like that of `run_loop.rs`, and the kick of the host's platform.
struct Core {
    fiber: Fiber,
    generation: u32,
    inbox: Inbox<Fiber>,
    is_kicked: Mutex<bool>,
    kicked: Condvar,
}

// SAFETY: loom has its own opinion on what is shared how, which is the point.
unsafe impl Send for Core {}
// SAFETY: as above.
unsafe impl Sync for Core {}

impl Core {
    fn new(is_ready: bool) -> Arc<Self> {
        let (fiber, generation) = Fiber::new(is_ready);
        Arc::new(Self {
            fiber,
            generation,
            inbox: Inbox::new(),
            is_kicked: Mutex::new(false),
            kicked: Condvar::new(),
        })
    }

    /// `RunLoop::post`.
    fn post(&self, fiber: &Fiber) {
        // SAFETY: it is in no inbox, or the state word has failed; it lives as long as the inbox.
        unsafe { self.inbox.push(fiber) };
        *self.is_kicked.lock().expect("no holder panics") = true;
        self.kicked.notify_one();
    }

    /// `FiberId::signal`.
    fn signal(&self, change: impl FnOnce(&State, u32) -> Woken) -> Woken {
        let woken = change(&self.fiber.state, self.generation);
        if woken == Woken::Enqueue {
            self.post(&self.fiber);
        }
        woken
    }

    /// `Host::idle`.
    fn idle(&self) {
        let mut is_kicked = self.is_kicked.lock().expect("no holder panics");
        while !*is_kicked {
            is_kicked = self.kicked.wait(is_kicked).expect("no holder panics");
        }
        *is_kicked = false;
    }

    /// Takes everything out. Returns whether the fiber was among it.
    fn drain(&self) -> bool {
        let mut times = 0;
        // SAFETY: the model's own thread is the owner.
        unsafe {
            self.inbox.drain(|fiber| {
                assert!(ptr::eq(fiber, &raw const self.fiber));
                times += 1;
            });
        }
        assert!(times <= 1, "in the inbox twice");
        if times == 1 {
            self.fiber.state.unpark_from_inbox();
        }
        times == 1
    }

    /// `RunLoop::block`, which returns when the fiber runs again.
    fn block(&self) {
        if self.fiber.state.park() {
            self.until_taken();
        }
    }

    /// `RunLoop::run`, where there is nothing else to do.
    fn until_taken(&self) {
        while !self.drain() {
            if self.inbox.is_empty() {
                self.idle();
            }
        }
    }

    /// `wait_to_be_told`.
    fn wait_to_be_told(&self, mut is_done: impl FnMut() -> bool) {
        self.block();
        while !is_done() {
            self.block();
        }
    }

    /// `wait_until`.
    fn wait_until(&self, mut is_done: impl FnMut() -> bool) {
        while !is_done() {
            self.block();
        }
    }
}

/// Runs a model in all interleavings with up to three preemptions, and prints how many there were.
fn model(name: &str, body: impl Fn() + Sync + Send + 'static) {
    let schedules: &'static AtomicUsize = Box::leak(Box::new(AtomicUsize::new(0)));
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(move || {
        schedules.fetch_add(1, Ordering::Relaxed);
        body();
    });
    let count = schedules.load(Ordering::Relaxed).to_string();
    println!("{name}: {count} schedules");
}
