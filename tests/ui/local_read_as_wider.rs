//! A fiber local is read as what it was bound as: a function that keeps its argument is no function of any lifetime.
//@ code: E0308
//@ says: one type is more general than the other
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::scheduler::FiberLocal;

#[cfg(not(feature = "fixed"))]
type Read = for<'a> fn(&'a u64);
#[cfg(feature = "fixed")]
type Read = fn(&'static u64);

static KEEP: FiberLocal<fn(&'static u64)> = FiberLocal::new();

fn main() {
    let read: &'static FiberLocal<Read> = &KEEP;
}
