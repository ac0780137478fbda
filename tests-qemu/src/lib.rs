//! The harness of the test kernels: boots, finds one test by name, runs it, and tells the runner how it ended.
//!
//! A kernel is a binary that calls `entry!` once and declares its tests with `kernel_test!`:
//!
//! ```text
//! #![cfg_attr(target_os = "none", no_std, no_main)]
//!
//! tests_qemu::entry!(tests_qemu::run::run_one_test);
//!
//! tests_qemu::kernel_test! {
//!     fn a_stack_is_taken_once() panics("already taken") timeout(20) { … }
//! }
//! ```
//!
//! A test may take over an exception (`exceptions::hook`), run a timer (`interrupts::start_timer`), change the page tables
//! (`paging`), and read its seed and its number of rounds from the command line (`command_line`). Each test has a
//! machine of its own, so nothing has to be put back. A test with several cores says so (`cores(4)`), and starts them
//! (`cores`).
//!
//! On the host the harness is empty, so that `cargo check --workspace` needs no bare-metal target.
#![no_std]

pub use kfiber_test::protocol;

#[cfg(target_os = "none")]
pub mod apic;
#[cfg(target_os = "none")]
pub mod boot;
#[cfg(target_os = "none")]
pub mod command_line;
#[cfg(target_os = "none")]
pub mod core_local;
#[cfg(target_os = "none")]
pub mod cores;
#[cfg(target_os = "none")]
pub mod cpu;
#[cfg(target_os = "none")]
pub mod exceptions;
#[cfg(target_os = "none")]
pub mod exit;
#[cfg(target_os = "none")]
pub mod interrupts;
#[cfg(target_os = "none")]
pub mod paging;
#[cfg(target_os = "none")]
pub mod panic;
#[cfg(target_os = "none")]
pub mod platform;
#[cfg(target_os = "none")]
pub use kfiber_test::{kernel_test, registry};
#[cfg(target_os = "none")]
pub mod run;
#[cfg(target_os = "none")]
pub mod serial;
#[cfg(target_os = "none")]
pub mod serial_input;
#[cfg(target_os = "none")]
pub mod stacks;
#[cfg(target_os = "none")]
pub mod start_info;
