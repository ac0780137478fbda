//! A scheduler with several cores needs the feature `smp`.
//@ code: E0080
//@ says: a scheduler with several cores needs the feature `smp` of kfiber
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::platform::Host;
use kfiber::scheduler::Scheduler;

#[cfg(not(feature = "fixed"))]
static BAD: Scheduler<Host, 2> = Scheduler::new(Host::new());
#[cfg(feature = "fixed")]
static BAD: Scheduler<Host> = Scheduler::new(Host::new());

fn main() {
    let _ = &BAD;
}
