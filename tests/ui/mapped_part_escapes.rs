//! A part is not used after its guard.
//@ code: E0505
//@ says: cannot move out of
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::sync::{Mutex, MutexGuard};

fn main() {
    let lock = Mutex::new([5, 6]);
    let mut guard = MutexGuard::map(lock.lock(), |value| &mut value[0]);
    let part: &mut i32 = &mut guard;
    #[cfg(not(feature = "fixed"))]
    drop(guard);
    *part = 7;
}
