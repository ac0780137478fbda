//! What a platform promises the compiler cannot check.
//@ code: E0200
//@ says: requires an `unsafe impl` declaration
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::platform::{Nanoseconds, Platform};

struct Mine;

#[cfg(not(feature = "fixed"))]
impl Platform for Mine {
    fn now(&self) -> Nanoseconds { 0 }
    fn set_timer(&self, _deadline: Nanoseconds) {}
    fn idle(&self) {}
}

fn main() {}
