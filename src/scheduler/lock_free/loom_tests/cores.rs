//! Models of the loops of several cores: a loop that sleeps while others post to it, and a fiber
//! that moves while others wake it.

use super::super::inbox::Inbox;
use super::super::roster::Roster;
use super::super::state::{State, Woken};
use super::{Fiber, model};
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

/// A core that sleeps only until it is kicked.
pub(super) struct Loop {
    pub(super) inbox: Inbox<Fiber>,
    is_kicked: Mutex<bool>,
    kicked: Condvar,
}

/// Two loops with one fiber, which belongs to one of them.
pub(super) struct Team {
    pub(super) roster: Roster,
    pub(super) loops: [Loop; 2],
    pub(super) fiber: Fiber,
    generation: u32,
    /// The loop of the fiber: the word `run_loop` of a header.
    pub(super) place: AtomicUsize,
    pub(super) live: AtomicUsize,
}

// SAFETY: loom has its own opinion on what is shared how, which is the point.
unsafe impl Send for Team {}
// SAFETY: as above.
unsafe impl Sync for Team {}

impl Team {
    pub(super) fn new(is_ready: bool) -> Arc<Self> {
        let (fiber, generation) = Fiber::new(is_ready);
        let new_loop = || Loop {
            inbox: Inbox::new(),
            is_kicked: Mutex::new(false),
            kicked: Condvar::new(),
        };
        Arc::new(Self {
            roster: Roster::new(),
            loops: [new_loop(), new_loop()],
            fiber,
            generation,
            place: AtomicUsize::new(0),
            live: AtomicUsize::new(1),
        })
    }

    /// `RunLoop::rouse`.
    pub(super) fn rouse(&self, index: usize) {
        if self.roster.wake(index) {
            *self.loops[index]
                .is_kicked
                .lock()
                .expect("no holder panics") = true;
            self.loops[index].kicked.notify_one();
        }
    }

    /// `RunLoop::post`.
    pub(super) fn post(&self, index: usize) {
        // SAFETY: it is in no inbox, or the state word has failed; it lives as long as the inbox.
        unsafe { self.loops[index].inbox.push(&raw const self.fiber) };
        self.rouse(index);
    }

    /// `wake`: the bit first, then the loop.
    pub(super) fn signal(&self, change: impl FnOnce(&State, u32) -> Woken) {
        if change(&self.fiber.state, self.generation) == Woken::Enqueue {
            self.post(self.place.load(Ordering::Acquire));
        }
    }

    /// The same, with a loop that was read before.
    pub(super) fn signal_to(&self, index: usize, change: impl FnOnce(&State, u32) -> Woken) {
        if change(&self.fiber.state, self.generation) == Woken::Enqueue {
            self.post(index);
        }
    }

    /// `RunLoop::drain`. Returns whether the fiber was there.
    pub(super) fn drain(&self, index: usize) -> bool {
        let mut times = 0;
        // SAFETY: the model's thread for this core is the owner.
        unsafe { self.loops[index].inbox.drain(|_fiber| times += 1) };
        assert!(times <= 1, "in the inbox twice");
        if times == 1 {
            assert_eq!(
                self.place.load(Ordering::Relaxed),
                index,
                "in a foreign loop"
            );
            self.fiber.state.unpark_from_inbox();
        }
        times == 1
    }

    /// `RunLoop::rest`: sleeps once, unless there is work.
    fn rest(&self, index: usize) {
        let this = &self.loops[index];
        let _are_all_idle = self.roster.sleep(index);
        let has_work = !this.inbox.is_empty_now() || self.live.load(Ordering::SeqCst) == 0;
        if !has_work {
            let mut is_kicked = this.is_kicked.lock().expect("no holder panics");
            while !*is_kicked {
                is_kicked = this.kicked.wait(is_kicked).expect("no holder panics");
            }
        }
        *this.is_kicked.lock().expect("no holder panics") = false;
        self.roster.awake(index);
    }

    /// Runs a loop until the fiber is in its hands, or has ended. Returns whether it is.
    pub(super) fn until_taken(&self, index: usize) -> bool {
        loop {
            if self.drain(index) {
                return true;
            }
            if self.live.load(Ordering::SeqCst) == 0 {
                return false;
            }
            self.rest(index);
        }
    }

    /// `RunLoop::give`.
    pub(super) fn give(&self, to: usize) {
        self.fiber.state.begin_move();
        self.place.store(to, Ordering::Release);
        self.post(to);
    }

    /// `Team::one_has_ended`.
    pub(super) fn end(&self) {
        if self.live.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.rouse(0);
            self.rouse(1);
        }
    }
}

/// A core that sleeps, and another one that posts to it.
pub(super) fn sleep_against_post(name: &str) {
    model(name, || {
        let team = Team::new(false);
        team.roster.enter(0);
        let poster = {
            let team = Arc::clone(&team);
            thread::spawn(move || team.post(0))
        };
        assert!(team.until_taken(0));
        poster.join().expect("does not panic");
    });
}

#[test]
fn loom_sleep_against_post() {
    sleep_against_post("sleep against post");
}

#[test]
fn loom_sleep_against_the_end_of_the_last_fiber() {
    model("sleep against the end of the last fiber", || {
        let team = Team::new(true);
        team.roster.enter(0);
        team.roster.enter(1);
        let ending = {
            let team = Arc::clone(&team);
            thread::spawn(move || {
                team.end();
                let _sleeper = team.roster.leave(1);
            })
        };
        assert!(!team.until_taken(0));
        ending.join().expect("does not panic");
    });
}

#[test]
fn loom_wake_against_move() {
    model("wake against move", || {
        let team = Team::new(true);
        let is_set = Arc::new(AtomicBool::new(false));
        for index in [0, 1] {
            team.roster.enter(index);
        }
        let waker = {
            let (team, is_set) = (Arc::clone(&team), Arc::clone(&is_set));
            thread::spawn(move || {
                is_set.store(true, Ordering::Relaxed);
                team.signal(State::give_token);
            })
        };
        let receiver = {
            let (team, is_set) = (Arc::clone(&team), Arc::clone(&is_set));
            thread::spawn(move || {
                // The fiber goes on here, and waits until it was woken.
                assert!(team.until_taken(1));
                while !team.fiber.state.take_token() {
                    if team.fiber.state.park() {
                        assert!(team.until_taken(1));
                    }
                }
                assert!(is_set.load(Ordering::Relaxed));
            })
        };
        team.give(1);
        waker.join().expect("does not panic");
        receiver.join().expect("does not panic");
    });
}

#[test]
fn loom_two_wakers_and_a_mover() {
    model("two wakers and a mover", || {
        let team = Team::new(true);
        for index in [0, 1] {
            team.roster.enter(index);
        }
        // The fiber waits in loop 0, so the first waker posts it there; it is given to loop 1, and
        // waits there again, where the second one may find it, or may have been noticed before.
        assert!(team.fiber.state.park());
        let wakers = [State::give_token, State::cancel].map(|change| {
            let team = Arc::clone(&team);
            thread::spawn(move || team.signal(change))
        });
        assert!(team.until_taken(0));
        team.give(1);
        assert!(team.until_taken(1));
        let mut has_token = false;
        while !(has_token && team.fiber.state.is_cancelled()) {
            has_token |= team.fiber.state.take_token();
            if has_token && team.fiber.state.is_cancelled() {
                break;
            }
            if team.fiber.state.park() {
                assert!(team.until_taken(1));
            }
        }
        for waker in wakers {
            waker.join().expect("does not panic");
        }
        assert!(!team.drain(0) && !team.drain(1), "in an inbox once more");
    });
}

#[test]
fn loom_a_look_against_a_post() {
    model("a look against a post", || {
        let team = Team::new(false);
        let queues = Arc::new(loom::cell::UnsafeCell::new(0));
        team.place.store(1, Ordering::Relaxed);
        team.roster.enter(0);
        team.roster.enter(1);
        let sleeper = {
            let (team, queues) = (Arc::clone(&team), Arc::clone(&queues));
            thread::spawn(move || {
                assert!(team.until_taken(1));
                // SAFETY: loom checks that nobody looks meanwhile.
                queues.with_mut(|queues| unsafe { *queues += 1 });
            })
        };
        let poster = {
            let team = Arc::clone(&team);
            thread::spawn(move || team.post(1))
        };
        // Loop 0 sleeps; if it was the last, it owns all queues while it looks.
        if team.roster.sleep(0) && team.roster.begin_look() {
            // SAFETY: as above.
            queues.with_mut(|queues| unsafe { *queues += 1 });
            team.roster.end_look();
        }
        sleeper.join().expect("does not panic");
        poster.join().expect("does not panic");
    });
}

#[test]
fn loom_leave_against_sleep() {
    model("leave against sleep", || {
        let team = Team::new(true);
        team.roster.enter(0);
        team.roster.enter(1);
        let leaving = {
            let team = Arc::clone(&team);
            thread::spawn(move || {
                if let Some(sleeper) = team.roster.leave(1) {
                    team.rouse(sleeper);
                }
            })
        };
        // Loop 0 goes on once it is the last of those that run, and knows.
        let this = &team.loops[0];
        while !team.roster.sleep(0) {
            let mut is_kicked = this.is_kicked.lock().expect("no holder panics");
            while !*is_kicked {
                is_kicked = this.kicked.wait(is_kicked).expect("no holder panics");
            }
            *is_kicked = false;
            drop(is_kicked);
            team.roster.awake(0);
        }
        leaving.join().expect("does not panic");
    });
}
