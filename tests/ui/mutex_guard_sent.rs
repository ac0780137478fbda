//! A mutex is unlocked by the fiber that has it.
//@ code: E0277
//@ says: cannot be sent between threads safely
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::sync::Mutex;

fn main() {
    let lock = Mutex::new(5);
    let guard = lock.lock();
    std::thread::scope(|threads| {
        #[cfg(not(feature = "fixed"))]
        threads.spawn(move || drop(guard));
    });
}
