//! Models of levels that change on another core: how a loop is told, and how a fiber is kept while
//! another core looks at it.

use super::super::state::State;
use super::{Core, Fiber, model};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

/// The root of a loop is asked for two things, while the loop takes what it was asked for before. It
/// must not be in the inbox twice, and no request may be lost, nor what was written before it.
#[test]
fn loom_two_requests_to_a_root_and_the_loop() {
    model("two requests to a root and the loop", || {
        // Its fiber plays the root, which does not wait.
        let core = Core::new(true);
        let level = Arc::new(AtomicUsize::new(0));
        let request = |change: fn(&State) -> bool, is_level: bool| {
            let (core, level) = (Arc::clone(&core), Arc::clone(&level));
            thread::spawn(move || {
                if is_level {
                    level.store(1, Ordering::Relaxed);
                }
                if change(&core.fiber.state) {
                    core.post(&core.fiber);
                }
            })
        };
        let threads = [
            request(State::request_levels, true),
            request(State::request_timer_check, false),
        ];
        let (mut timer, mut levels) = (false, false);
        while !(timer && levels) {
            let mut times = 0;
            // SAFETY: the model's own thread is the owner.
            unsafe { core.inbox.drain(|_root| times += 1) };
            assert!(times <= 1, "in the inbox twice");
            if times == 1 {
                let requests = core.fiber.state.take_requests();
                if requests.levels {
                    let seen = level.load(Ordering::Relaxed);
                    assert_eq!(seen, 1, "what has changed is not visible");
                }
                timer |= requests.timer;
                levels |= requests.levels;
            } else if core.inbox.is_empty() {
                core.idle();
            }
        }
        for thread in threads {
            thread.join().expect("does not panic");
        }
    });
}

/// A fiber, and what another core changes in its control block.
struct Held {
    fiber: Fiber,
    extra: UnsafeCell<usize>,
}

// SAFETY: loom checks how it is shared.
unsafe impl Send for Held {}
// SAFETY: as above.
unsafe impl Sync for Held {}

/// A core that holds a fiber which has not ended may use its control block, though the fiber ends
/// meanwhile and its cell is used again.
#[test]
fn loom_hold_against_the_end_and_the_next_fiber() {
    model("hold against the end and the next fiber", || {
        let (fiber, generation) = Fiber::new(true);
        let extra = UnsafeCell::new(0);
        let held = Arc::new(Held { fiber, extra });
        let looks = {
            let held = Arc::clone(&held);
            thread::spawn(move || {
                let state = &held.fiber.state;
                if state.hold() {
                    if state.generation() == generation && !state.is_finished() {
                        // SAFETY: loom checks that nobody else uses it meanwhile.
                        held.extra.with_mut(|extra| unsafe { *extra += 1 });
                    }
                    state.end_look();
                }
            })
        };
        let state = &held.fiber.state;
        assert!(!state.finish(), "there is a handle");
        assert!(state.detach(), "it has finished");
        // The cell is free: `spawn`.
        // SAFETY: as above.
        held.extra.with_mut(|extra| unsafe { *extra = 0 });
        let _next = state.begin(true);
        looks.join().expect("does not panic");
        // SAFETY: as above.
        held.extra
            .with(|extra| assert_eq!(unsafe { *extra }, 0, "the next one was changed"));
    });
}
