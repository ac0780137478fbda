//! Counts the instructions of every operation, exactly; `cargo xtask bench` runs it and holds the figures.
//!
//! A figure is the difference of two readings of the time-stamp counter, which ticks once an instruction under
//! `-icount shift=0`. How an operation is measured stands beside it; `counter` has what is common to all.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(all(target_os = "none", feature = "smp"))]
mod cores;
#[cfg(target_os = "none")]
mod counter;
#[cfg(target_os = "none")]
mod crowd;
#[cfg(target_os = "none")]
mod instructions;
#[cfg(target_os = "none")]
mod life;
#[cfg(target_os = "none")]
mod scheduler;
#[cfg(target_os = "none")]
mod states;
#[cfg(target_os = "none")]
mod switches;
#[cfg(target_os = "none")]
mod sync;
#[cfg(target_os = "none")]
mod thread_metric;
#[cfg(target_os = "none")]
mod wakes;
#[cfg(target_os = "none")]
mod yields;

#[cfg(target_os = "none")]
tests_qemu::entry!(tests_qemu::run::run_one_test);

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("It runs in QEMU: `cargo xtask bench`.");
    std::process::exit(1);
}
