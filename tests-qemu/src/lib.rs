//! The harness of the test kernels: boots, finds one test by name, runs it, and tells the runner how it ended.
//!
//! A kernel is a binary that calls [`entry!`] once and declares its tests with [`kernel_test!`]. On the host the harness
//! is empty, so that `cargo check --workspace` needs no bare-metal target.
#![no_std]

pub mod protocol;

#[cfg(target_os = "none")]
pub mod boot;
#[cfg(target_os = "none")]
pub mod command_line;
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
mod panic;
#[cfg(target_os = "none")]
pub mod registry;
#[cfg(target_os = "none")]
pub mod run;
#[cfg(target_os = "none")]
pub mod serial;
