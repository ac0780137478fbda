//! A guard cannot be what a Once shares.
//@ code: E0277
//@ says: `NonNull<u32>` cannot be sent between threads safely
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::sync::{Mutex, MutexGuard, Once};

#[cfg(not(feature = "fixed"))]
static ONCE: Once<MutexGuard<'static, u32>> = Once::new();

fn main() {}
