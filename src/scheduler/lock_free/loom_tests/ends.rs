//! Models of a fiber that ends while other code wakes it, joins it, or drops its handle.

use super::super::state::{State, Woken};
use super::{Core, Fiber, model};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

#[test]
fn loom_unpark_and_exit() {
    model("unpark and exit", || {
        let (fiber, generation) = Fiber::new(true);
        let fiber = Arc::new(fiber);
        let waker = {
            let fiber = Arc::clone(&fiber);
            thread::spawn(move || fiber.state.give_token(generation))
        };
        let is_detached = fiber.state.finish();
        assert!(!is_detached);
        assert!(fiber.state.is_finished());
        assert_ne!(waker.join().expect("does not panic"), Woken::Enqueue);
        assert_eq!(fiber.state.give_token(generation), Woken::Stale);
    });
}

#[test]
fn loom_unpark_and_reuse() {
    model("unpark and reuse", || {
        let core = Core::new(true);
        let old = core.generation;
        let waker = {
            let core = Arc::clone(&core);
            thread::spawn(move || core.signal(|state, _| state.give_token(old)))
        };
        // The fiber ends without a handle, and the next one in the same cell parks at once.
        let _ = core.fiber.state.finish();
        assert_eq!(core.fiber.state.begin(true), old + 1);
        assert!(core.fiber.state.park(), "woken by an old id");
        assert_ne!(waker.join().expect("does not panic"), Woken::Enqueue);
        assert!(core.inbox.is_empty());
        assert!(!core.fiber.state.take_token(), "the token of another");
    });
}

/// Which fiber is notified of the end, as in `joiner.rs`.
const NOBODY: usize = 0;
const FIBER: usize = 64;
const TOO_LATE: usize = 2;

/// A fiber that ends on one core, and its joiner on another.
struct Joined {
    ending: Fiber,
    joiner: Core,
    place: AtomicUsize,
    result: UnsafeCell<u32>,
    /// The number of times that the cell was used again after it was freed.
    generation: AtomicUsize,
}

// SAFETY: loom checks who uses the result when.
unsafe impl Send for Joined {}
// SAFETY: as above.
unsafe impl Sync for Joined {}

#[test]
fn loom_join_and_exit() {
    model("join and exit", || {
        let joiner = Arc::try_unwrap(Core::new(true)).unwrap_or_else(|_| unreachable!());
        let joined = Arc::new(Joined {
            ending: Fiber::new(true).0,
            joiner,
            place: AtomicUsize::new(NOBODY),
            result: UnsafeCell::new(0),
            generation: AtomicUsize::new(0),
        });
        let ending = {
            let joined = Arc::clone(&joined);
            thread::spawn(move || {
                // SAFETY: it has not finished.
                joined.result.with_mut(|result| unsafe { *result = 5 });
                let before = joined.generation.load(Ordering::Relaxed);
                let who = joined.place.swap(TOO_LATE, Ordering::AcqRel);
                assert_eq!(before, 0, "the cell is another's already");
                let is_detached = joined.ending.state.finish();
                assert!(!is_detached);
                if who == FIBER {
                    let _ = joined.joiner.signal(|state, _| state.wake());
                }
            })
        };
        // `join_until`.
        let told =
            joined
                .place
                .compare_exchange(NOBODY, FIBER, Ordering::AcqRel, Ordering::Relaxed);
        let is_too_late = told.is_err();
        while is_too_late && !joined.ending.state.is_finished() {
            loom::hint::spin_loop();
        }
        if !is_too_late {
            joined
                .joiner
                .wait_to_be_told(|| joined.ending.state.is_finished());
        }
        // SAFETY: it has finished.
        assert_eq!(joined.result.with(|result| unsafe { *result }), 5);
        joined.generation.store(1, Ordering::Relaxed);
        ending.join().expect("does not panic");
    });
}

#[test]
fn loom_detach_and_exit() {
    model("detach and exit", || {
        let fiber = Arc::new(Fiber::new(true).0);
        let result = Arc::new(UnsafeCell::new(1));
        let (drops, burials) = (Arc::default(), Arc::<AtomicUsize>::default());
        let drop_result = |result: &UnsafeCell<i32>, drops: &AtomicUsize| {
            // SAFETY: whoever drops it is alone.
            result.with_mut(|result| unsafe { *result = 0 });
            drops.fetch_add(1, Ordering::Relaxed);
        };
        let give_back = |result: &UnsafeCell<i32>, burials: &AtomicUsize| {
            // SAFETY: whoever gives the cell back is alone, and comes after the drop.
            result.with(|result| assert_eq!(unsafe { *result }, 0));
            burials.fetch_add(1, Ordering::Relaxed);
        };
        let ending = {
            let (fiber, result) = (Arc::clone(&fiber), Arc::clone(&result));
            let (drops, burials) = (Arc::clone(&drops), Arc::clone(&burials));
            thread::spawn(move || {
                // SAFETY: it has not returned.
                result.with_mut(|result| unsafe { *result = 5 });
                if fiber.state.has_returned() {
                    drop_result(&result, &drops);
                }
                if fiber.state.finish() {
                    give_back(&result, &burials);
                }
            })
        };
        // The destructor of the handle.
        if !fiber.state.detach_before_return() {
            drop_result(&result, &drops);
            if fiber.state.detach() {
                give_back(&result, &burials);
            }
        }
        ending.join().expect("does not panic");
        assert_eq!(drops.load(Ordering::Relaxed), 1);
        assert_eq!(burials.load(Ordering::Relaxed), 1);
        assert!(fiber.state.is_detached() && fiber.state.is_finished());
        assert_eq!(fiber.state.give_token(1), Woken::Stale);
        let _ = State::new();
    });
}
