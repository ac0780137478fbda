//! Models of a fiber that ends while whoever has its handle polls, joins, or gives up.

extern crate std;

use super::super::joiner::{Joiner, JoinerPlace};
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

/// Starts the end of the fiber on another thread.
fn ends(place: &Arc<Place>) -> thread::JoinHandle<()> {
    let place = Arc::clone(place);
    thread::spawn(move || place.0.call_waker())
}

/// Registers one waker after the other. Returns them, and whether the last one was too late.
fn polls(place: &Place, times: usize) -> (Vec<StdArc<Told>>, bool) {
    let mut is_late = false;
    let told: Vec<_> = (0..times).map(|_| StdArc::new(Told::default())).collect();
    for told in &told {
        let waker = Waker::from(StdArc::clone(told));
        is_late = place.0.set(Joiner::Waker(waker)).is_err();
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
        place.0.drop_waker();
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
        static FIBER: u64 = 0;
        let place = Arc::new(Place(JoinerPlace::new()));
        let ending = ends(&place);
        let (told, _) = polls(&place, 1);
        let is_late = place.0.set(Joiner::Fiber(&raw const FIBER)).is_err();
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
