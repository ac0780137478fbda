//! A part might not exist any more after a wait that unlocks.
//@ code: E0308
//@ says: mismatched types
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::sync::{Condvar, Mutex, MutexGuard};

fn main() {
    let lock = Mutex::new(Some(5));
    let changed = Condvar::new();
    let mut guard = lock.lock();
    #[cfg(not(feature = "fixed"))]
    let mut guard = MutexGuard::map(guard, |value| value.as_mut().unwrap());
    changed.wait(&mut guard);
}
