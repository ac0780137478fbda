//! A deadlock's circle is not kept for longer than the hook that was told.
//@ says: lifetime may not live long enough
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::scheduler::{Circle, Deadlock};

fn kept(deadlock: &Deadlock<'_>) -> Option<Circle<'static>> {
    let circle = deadlock.circle();
    #[cfg(feature = "fixed")]
    let circle = None;
    circle
}

fn main() {}
