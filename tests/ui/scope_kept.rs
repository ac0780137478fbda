//! A scope makes no fibers once it has ended.
//@ code: E0521
//@ says: borrowed data escapes outside of closure
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::scheduler::{Scope, scope};

fn main() {
    let mut kept: Option<&Scope<'_, '_>> = None;
    #[cfg(not(feature = "fixed"))]
    scope(|scope| kept = Some(scope));
}
