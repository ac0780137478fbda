//! A cell below the minimum does not compile.
//@ code: E0080
//@ says: N is too small
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::scheduler::FiberCell;

#[cfg(not(feature = "fixed"))]
static CELL: FiberCell<512> = FiberCell::new();
#[cfg(feature = "fixed")]
static CELL: FiberCell<1024> = FiberCell::new();

fn main() {
    let cell = &CELL;
}
