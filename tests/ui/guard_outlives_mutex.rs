//! A mutex stays as long as somebody has it.
//@ code: E0597
//@ says: does not live long enough
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::sync::Mutex;

fn main() {
    let guard;
    #[cfg(feature = "fixed")]
    let mutex = Mutex::new(5);
    {
        #[cfg(not(feature = "fixed"))]
        let mutex = Mutex::new(5);
        guard = mutex.lock();
    }
    drop(guard);
}
