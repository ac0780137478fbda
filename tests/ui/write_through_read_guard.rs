//! Readers do not write.
//@ code: E0594
//@ says: cannot assign to data in dereference of
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::sync::RwLock;

fn main() {
    let lock = RwLock::new(5);
    #[cfg(not(feature = "fixed"))]
    let mut guard = lock.read();
    #[cfg(feature = "fixed")]
    let mut guard = lock.write();
    *guard = 6;
}
