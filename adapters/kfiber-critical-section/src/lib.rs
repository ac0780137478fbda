#![doc = include_str!("../README.md")]
#![no_std]

mod section;

pub use critical_section;
pub use section::InterruptsOff;
