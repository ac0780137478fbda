//! The modules stand in the order in which they use each other. The tour is the README:
//!
#![doc = include_str!("../README.md")]
#![no_std]

#[cfg(not(loom))]
pub mod stack;

#[cfg(not(loom))]
pub mod context;

#[cfg(not(loom))]
pub mod fiber;

mod atomic;

#[cfg(not(loom))]
pub mod platform;

#[cfg(not(loom))]
pub mod scheduler;
#[cfg(all(loom, test))]
#[path = "scheduler/lock_free.rs"]
mod scheduler;

#[cfg(not(loom))]
pub mod sync;
