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
        let before = self
            .state
            .compare_exchange(EMPTY, BUSY, Ordering::Acquire, Ordering::Relaxed);
        if before.is_err() {
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
    fn of_several_threads_one_is_the_first_and_all_find_its_value() {
        for _ in 0..if cfg!(miri) { 4 } else { 1000 } {
            let once = SetOnce::new();
            let firsts: Vec<_> = thread::scope(|scope| {
                let once = &once;
                let threads: Vec<_> = (0..3)
                    .map(|value| {
                        scope.spawn(move || {
                            let is_first = once.set([value; 4]);
                            let found = *once.get().expect("it is set");
                            assert_eq!(found, [found[0]; 4]);
                            is_first
                                .then_some(found)
                                .inspect(|it| assert_eq!(*it, [value; 4]))
                        })
                    })
                    .collect();
                threads
                    .into_iter()
                    .filter_map(|it| it.join().expect("no panic"))
                    .collect()
            });
            assert_eq!(firsts.len(), 1);
            assert_eq!(once.get(), Some(&firsts[0]));
        }
    }
}
