//! Interrupts are turned on again where they were turned off.
//@ code: E0277
//@ says: cannot be sent between threads safely
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::sync::IrqMutex;

fn main() {
    let lock = IrqMutex::new(5);
    let guard = lock.lock();
    std::thread::scope(|threads| {
        #[cfg(not(feature = "fixed"))]
        threads.spawn(move || drop(guard));
    });
}
