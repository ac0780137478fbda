//! Critical sections in which no fiber can wait.
//!
#![doc = include_str!("../README.md")]
#![no_std]

mod section;

pub use critical_section;
pub use section::InterruptsOff;
