//! The demo: a little kernel with a shell on the serial port. Type `help`.
//!
//! It is the example of how to use the crate. Read it in this order:
//!
//! | file | shows |
//! |---|---|
//! | `scheduler.rs` | a scheduler in a static |
//! | `kernel.rs` | what an interrupt handler does, spawning, running |
//! | `one_core.rs`, `several_cores.rs` | the machine that a scheduler wants, with one core and with several |
//! | `console.rs` | an interrupt handler that feeds a channel, and a fiber that reads lines from it |
//! | `shell.rs` | the commands |
//! | `jobs.rs` | fibers that work together: a channel, a semaphore, mutexes, timeouts, cancellation |
//! | `ps.rs` | looking at all fibers |
//! | `trouble.rs` | a deadlock and a hog on purpose, and the hooks that report them |
//! | `ends.rs` | a panic, a fault and a stack overflow, each of which ends one fiber |
//! | `race.rs`, `sorts.rs`, `screen.rs` | fibers without a scheduler: six ways to sort race |
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod console;
#[cfg(target_os = "none")]
mod ends;
#[cfg(target_os = "none")]
mod jobs;
#[cfg(target_os = "none")]
mod kernel;
#[cfg(all(target_os = "none", not(feature = "smp")))]
#[path = "one_core.rs"]
mod machine;
#[cfg(all(target_os = "none", feature = "smp"))]
#[path = "several_cores.rs"]
mod machine;
#[cfg(target_os = "none")]
mod ps;
#[cfg(target_os = "none")]
mod race;
#[cfg(target_os = "none")]
mod scheduler;
#[cfg(target_os = "none")]
mod screen;
#[cfg(target_os = "none")]
mod shell;
#[cfg(target_os = "none")]
mod sorts;
#[cfg(target_os = "none")]
mod trouble;

#[cfg(target_os = "none")]
tests_qemu::entry!(kernel::main);

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("The demo runs in QEMU: `cargo xtask demo`.");
    std::process::exit(1);
}
