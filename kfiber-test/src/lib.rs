//! What a kernel needs for its tests to run each in a virtual machine of its own: `cargo kfiber test`.
#![no_std]

#[cfg(target_os = "none")]
pub mod exit;
pub mod protocol;
#[cfg(target_os = "none")]
pub mod registry;
