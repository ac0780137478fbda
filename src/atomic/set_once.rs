//! A value that is set once and read without a lock.

use core::cell::UnsafeCell;
use core::fmt;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicU8, Ordering};

const EMPTY: u8 = 0;
const BUSY: u8 = 1;
const SET: u8 = 2;

/// A value that is set once and read without a lock.
///
/// It does what `Once` of the crate `spin` does, without the paths for a function that computes the
/// value and panics: the value is there already. These paths would be a large part of a small kernel.
///
/// - **N1**: the value is written only by whoever changes the state from EMPTY to BUSY, which happens
///   once. While the state is SET, the value is there and does not change.
pub(crate) struct SetOnce<T> {
    state: AtomicU8,
    value: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: N1: it is written by one, before the others can see it. It is `Copy`, so it has no destructor,
// and others only read it, which `Sync` allows; it may come from another core, which `Send` allows.
unsafe impl<T: Copy + Send + Sync> Sync for SetOnce<T> {}

impl<T: Copy> SetOnce<T> {
    /// Returns an empty place.
    pub(crate) const fn new() -> Self {
        Self {
            state: AtomicU8::new(EMPTY),
            value: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }

    /// Returns the value, if it was set.
    #[inline(always)]
    pub(crate) fn get(&self) -> Option<&T> {
        if !self.is_set() {
            return None;
        }
        // SAFETY: N1: nobody writes it any more.
        let value = unsafe { &*self.value.get() };
        // SAFETY: N1.
        Some(unsafe { value.assume_init_ref() })
    }

    /// Returns whether the value was set.
    #[inline(always)]
    pub(crate) fn is_set(&self) -> bool {
        self.state.load(Ordering::Acquire) == SET
    }

    /// Sets the value, unless one was set before. Returns whether this one was the first. When the
    /// function returns, there is a value.
    #[inline]
    pub(crate) fn set(&self, value: T) -> bool {
        !self.is_set() && self.set_first(value)
    }

    #[inline]
    fn set_first(&self, value: T) -> bool {
        if !self.claim() {
            while !self.is_set() {
                core::hint::spin_loop();
            }
            return false;
        }
        // SAFETY: N1: nobody reads it before the state says that it is there.
        unsafe { (*self.value.get()).write(value) };
        self.state.store(SET, Ordering::Release);
        true
    }

    /// Makes the caller the one that writes the value. Returns false if there is one already.
    #[inline]
    fn claim(&self) -> bool {
        let claimed =
            self.state
                .compare_exchange(EMPTY, BUSY, Ordering::Acquire, Ordering::Relaxed);
        claimed.is_ok()
    }
}

impl<T: Copy + fmt::Debug> fmt::Debug for SetOnce<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.get() {
            Some(value) => write!(f, "SetOnce({value:?})"),
            None => f.write_str("SetOnce(nothing)"),
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::SetOnce;
    use core::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;
    use std::vec::Vec;

    #[test]
    fn the_first_value_stays() {
        let once = SetOnce::new();
        assert_eq!(once.get(), None);
        assert!(once.set(1));
        assert!(!once.set(2));
        assert_eq!(once.get(), Some(&1));
    }

    #[test]
    fn only_one_may_write_and_before_that_there_is_nothing() {
        let once = SetOnce::<u8>::new();
        assert!(once.claim());
        assert!(!once.claim());
        assert_eq!(once.get(), None);
    }

    #[test]
    fn of_two_threads_one_is_the_first_and_both_find_its_value() {
        const ROUNDS: usize = if cfg!(miri) { 8 } else { 3000 };
        // Large values, which take a while to write.
        let places: Vec<SetOnce<[usize; 256]>> = (0..ROUNDS).map(|_| SetOnce::new()).collect();
        let arrivals = AtomicUsize::new(0);
        let race = |own: usize| {
            let set = |(round, place): (usize, &SetOnce<_>)| {
                arrivals.fetch_add(1, Ordering::Relaxed);
                // They go on at nearly the same time, if each has a processor.
                let mut looks = 0;
                while arrivals.load(Ordering::Relaxed) < 2 * (round + 1) {
                    looks += 1;
                    if looks % 4096 == 0 {
                        thread::yield_now();
                    }
                }
                let is_first = place.set([own; 256]);
                // Nobody panics before both are through, because each waits for the other.
                let is_right = place.get().is_some_and(|found| {
                    let is_whole = found.iter().all(|it| *it == found[0]);
                    is_whole && (found[0] == own) == is_first
                });
                (is_first, is_right)
            };
            let results = places.iter().enumerate().map(set);
            results.collect::<Vec<(bool, bool)>>()
        };
        let (ours, theirs) = thread::scope(|scope| {
            let other = scope.spawn(|| race(1));
            (race(2), other.join().expect("no panic"))
        });
        for (ours, theirs) in ours.into_iter().zip(theirs) {
            assert!(ours.0 != theirs.0, "one of the two is the first");
            assert!(ours.1 && theirs.1, "both find the value of the first");
        }
    }
}
