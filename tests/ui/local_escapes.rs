//! A fiber local is not kept for longer than it is bound.
//@ code: E0521
//@ says: borrowed data escapes outside of closure
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::scheduler::FiberLocal;

static LOCAL: FiberLocal<u32> = FiberLocal::new();

fn main() {
    let mut kept: Option<&u32> = None;
    #[cfg(not(feature = "fixed"))]
    LOCAL.with(|value| kept = value);
}
