//! A reader gives back its access itself.
//@ code: E0277
//@ says: cannot be sent between threads safely
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::sync::RwLock;

fn main() {
    let lock = RwLock::new(5);
    let guard = lock.read();
    std::thread::scope(|threads| {
        #[cfg(not(feature = "fixed"))]
        threads.spawn(move || drop(guard));
    });
}
