//! The modules stand in the order in which they use each other. The tour is the README:
//!
#![doc = include_str!("../README.md")]
#![cfg_attr(
    not(all(feature = "stack-check", not(any(miri, kfiber_threads)))),
    allow(
        dead_code,
        unused_imports,
        unused_macros,
        reason = "without the check at each switch some of its parts are of no use"
    )
)]
#![no_std]

#[cfg(not(loom))]
pub mod model;

#[cfg(not(loom))]
pub mod stack;

#[cfg(not(loom))]
pub mod context;

mod atomic;

#[cfg(not(loom))]
pub mod platform;

#[cfg(not(loom))]
pub mod scheduler;
#[cfg(all(loom, test))]
#[path = "scheduler/lock_free.rs"]
mod scheduler;

#[cfg(not(loom))]
pub mod fiber;

#[cfg(not(loom))]
pub mod sync;
