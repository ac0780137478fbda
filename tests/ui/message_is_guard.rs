//! A guard cannot be sent through a channel.
//@ code: E0277
//@ says: cannot be sent between threads safely
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::sync::{Channel, Mutex, MutexGuard};

#[cfg(not(feature = "fixed"))]
static CHANNEL: Channel<MutexGuard<'static, u32>, 1> = Channel::new();

fn main() {}
