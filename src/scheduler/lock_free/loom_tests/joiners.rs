//! Models of a fiber that ends while whoever has its handle polls, joins, or gives up.

extern crate std;

use super::super::joiner::JoinerPlace;
use super::model;
use core::task::Waker;
use loom::sync::Arc;
use loom::thread;
use std::sync::Arc as StdArc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;
use std::vec::Vec;

struct Place(JoinerPlace<u64>);

// SAFETY: loom checks who uses the place of the waker when.
unsafe impl Send for Place {}
// SAFETY: as above.
unsafe impl Sync for Place {}

#[derive(Default)]
struct Told(AtomicUsize);

impl Wake for Told {
    fn wake(self: StdArc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A waker that does something, as one may that waits and lets other fibers run meanwhile.
struct Does<F>(F);

impl<F: Fn() + Send + Sync + 'static> Wake for Does<F> {
    fn wake(self: StdArc<Self>) {
        (self.0)();
    }
}

fn waker_that(does: impl Fn() + Send + Sync + 'static) -> Waker {
    Waker::from(StdArc::new(Does(does)))
}

static FIBER: u64 = 0;

/// Registers the fiber that joins. Returns whether it is told.
fn joins(place: &Place) -> bool {
    place.0.set_fiber(&raw const FIBER)
}

/// Starts the end of the fiber on another thread.
fn ends(place: &Arc<Place>) -> thread::JoinHandle<()> {
    let place = Arc::clone(place);
    thread::spawn(move || {
        let _joiner = place.0.call_waker(|| ());
    })
}

/// Registers one waker after the other. Returns them, and whether the last one was too late.
fn polls(place: &Place, times: usize) -> (Vec<StdArc<Told>>, bool) {
    let mut is_late = false;
    let told: Vec<_> = (0..times).map(|_| StdArc::new(Told::default())).collect();
    for told in &told {
        let waker = Waker::from(StdArc::clone(told));
        is_late = place.0.set_waker(waker).is_err();
    }
    (told, is_late)
}

/// Checks that nobody was told twice, that the last one was told unless it learnt that it is too
/// late, and that no waker is left.
fn check(told: &[StdArc<Told>], is_late: bool) {
    let times = |told: &StdArc<Told>| told.0.load(Ordering::Relaxed);
    assert!(told.iter().all(|told| times(told) <= 1), "told twice");
    let last = told.last().expect("polled at least once");
    assert_eq!(times(last), usize::from(!is_late), "the last one");
    for told in told {
        assert_eq!(StdArc::strong_count(told), 1, "a waker was lost or doubled");
    }
}

#[test]
fn loom_poll_again_and_exit() {
    model("poll again and exit", || {
        let place = Arc::new(Place(JoinerPlace::new()));
        let ending = ends(&place);
        let (told, is_late) = polls(&place, 3);
        ending.join().expect("does not panic");
        check(&told, is_late);
    });
}

#[test]
fn loom_poll_and_drop_and_exit() {
    model("poll, drop the handle, and exit", || {
        let place = Arc::new(Place(JoinerPlace::new()));
        let ending = ends(&place);
        let (told, _) = polls(&place, 2);
        // As a handle that is dropped does.
        if place.0.has_waker() {
            let _removed = place.0.clear();
        }
        ending.join().expect("does not panic");
        for told in &told {
            assert!(told.0.load(Ordering::Relaxed) <= 1, "told twice");
            assert_eq!(StdArc::strong_count(told), 1, "a waker was lost or doubled");
        }
    });
}

#[test]
fn loom_poll_and_join_and_exit() {
    model("poll, join, and exit", || {
        let place = Arc::new(Place(JoinerPlace::new()));
        let ending = ends(&place);
        let (told, _) = polls(&place, 1);
        let is_late = !joins(&place);
        ending.join().expect("does not panic");
        // What is there now is what the fiber's successor notifies.
        assert_eq!(place.0.fiber().is_some(), !is_late, "the joiner is lost");
        assert!(told[0].0.load(Ordering::Relaxed) <= 1, "told twice");
        assert_eq!(
            StdArc::strong_count(&told[0]),
            1,
            "a waker was lost or doubled"
        );
    });
}

#[test]
fn loom_join_while_the_second_waker_waits() {
    model("join while the second waker waits", || {
        static JOINS: AtomicUsize = AtomicUsize::new(0);
        JOINS.store(0, Ordering::Relaxed);
        let place = Arc::new(Place(JoinerPlace::new()));
        let (at_first, at_second) = (Arc::clone(&place), Arc::clone(&place));
        let first = waker_that(move || {
            let place = Arc::clone(&at_second);
            let second = waker_that(move || {
                // A fiber that is told to look again in a moment would never leave this core to the
                // fiber that ends.
                assert!(joins(&place), "the joiner spins for ever");
                JOINS.fetch_add(1, Ordering::Relaxed);
            });
            assert!(at_first.0.set_waker(second).is_ok(), "the place is open");
        });
        assert!(place.0.set_waker(first).is_ok(), "the place is open");
        place.0.call_waker(|| ());
        assert_eq!(JOINS.load(Ordering::Relaxed), 1);
        assert!(place.0.fiber().is_some(), "the joiner is lost");
    });
}

#[test]
fn loom_a_joiner_times_out_and_polls_and_exit() {
    model("a joiner times out and polls, and exit", || {
        let place = Arc::new(Place(JoinerPlace::new()));
        assert!(joins(&place));
        let ending = {
            let place = Arc::clone(&place);
            thread::spawn(move || {
                place.0.call_waker(|| ());
                // A waker that comes in between would be called where its panic is not the fiber's.
                place.0.end_late().is_some()
            })
        };
        let has_given_up = place.0.clear();
        let (told, is_refused) = polls(&place, 1);
        let has_joined_again = joins(&place);
        let is_told = ending.join().expect("does not panic");
        assert_eq!(is_told, !has_given_up || has_joined_again, "the joiner");
        let times = told[0].0.load(Ordering::Relaxed);
        assert!(times == 0 || !is_refused, "told, and refused");
        assert_eq!(StdArc::strong_count(&told[0]), 1, "a waker was lost");
    });
}
