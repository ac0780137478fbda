//! Priority inheritance: the owner of a mutex is scheduled at the highest priority among the fibers
//! that wait for it.
//!
//! Each fiber has a list of the mutexes that it owns and that fibers of its scheduler wait for. When
//! something about one of these mutexes changes, the level of the fiber is recomputed from the
//! list. If the fiber itself waits for a mutex, the level of that mutex's owner is recomputed next,
//! and so on. All of this is rare, and its cost is proportional to the number of waiting fibers.
//!
//! - **H1**: a mutex is in the list of at most one fiber that has not ended, and only while a fiber
//!   of the same scheduler waits for it. Therefore it is alive and stays in place.

#[cfg(feature = "smp")]
mod cores;
#[cfg(not(feature = "smp"))]
mod one_core;

use crate::scheduler::task::control::Extra;
use crate::scheduler::task::header::Header;
use core::cell::Cell;
use core::ptr;

#[cfg(feature = "smp")]
pub(super) use cores::{entering, handing_over, no_longer_wanted, taking};
#[cfg(not(feature = "smp"))]
pub(super) use one_core::{entering, handing_over, no_longer_wanted, taking};

/// A mutex, as part of the list of its owner.
pub(super) trait Awaited: Sized {
    /// Returns the next mutex in the list.
    fn next_wanted(&self) -> &Cell<*const Self>;
    /// Returns whether the mutex is in the list.
    fn is_wanted(&self) -> &Cell<bool>;
}

const fn wanted_of<'a>(fiber: *const Header) -> &'a Cell<*const ()> {
    // SAFETY: only fibers own mutexes, so the header is a cell's.
    unsafe { &Extra::of(fiber).wanted }
}

fn list<M: Awaited>(mutex: &M, owner: *const Header) {
    if !mutex.is_wanted().replace(true) {
        let first = wanted_of(owner);
        mutex.next_wanted().set(first.get().cast());
        first.set(ptr::from_ref(mutex).cast());
    }
}

fn unlist<M: Awaited>(mutex: &M, owner: *const Header) {
    mutex.is_wanted().set(false);
    let first = wanted_of(owner);
    if ptr::eq(first.get().cast(), mutex) {
        first.set(mutex.next_wanted().get().cast());
        return;
    }
    // SAFETY: H1.
    let mut at = unsafe { first.get().cast::<M>().as_ref() };
    while let Some(before) = at {
        if ptr::eq(before.next_wanted().get(), mutex) {
            before.next_wanted().set(mutex.next_wanted().get());
            return;
        }
        // SAFETY: H1.
        at = unsafe { before.next_wanted().get().as_ref() };
    }
}
