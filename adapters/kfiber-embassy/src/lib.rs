//! Timers and tasks of embassy in fibers.
//!
#![doc = include_str!("../README.md")]
#![no_std]

mod executor;
mod ticks;
mod time_driver;

pub use embassy_executor;
pub use embassy_time_driver;
pub use executor::Executor;
pub use time_driver::TimeDriver;
