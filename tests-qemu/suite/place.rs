//! A place in a static where fibers, and the code that makes them, leave something for each other.

use core::cell::UnsafeCell;

/// Holds one thing, or nothing.
pub(crate) struct Place<T>(UnsafeCell<Option<T>>);

// SAFETY: one core, and each function ends before anyone else runs: what a handler uses, nobody uses beside it.
unsafe impl<T: Send> Sync for Place<T> {}

impl<T> Place<T> {
    /// Nothing is there.
    pub(crate) const fn new() -> Self {
        Self(UnsafeCell::new(None))
    }

    /// Leaves something where nothing is.
    #[track_caller]
    pub(crate) fn put(&self, value: T) {
        // SAFETY: nobody else uses it now.
        let place = unsafe { &mut *self.0.get() };
        assert!(place.replace(value).is_none(), "the place is taken");
    }

    /// Takes what is there.
    #[track_caller]
    pub(crate) fn take(&self) -> T {
        // SAFETY: nobody else uses it now.
        let place = unsafe { &mut *self.0.get() };
        place.take().expect("something is in its place")
    }

    /// Looks at what is there.
    #[track_caller]
    pub(crate) fn get(&self) -> T
    where
        T: Copy,
    {
        // SAFETY: nobody else uses it now.
        unsafe { *self.0.get() }.expect("something is in its place")
    }
}
