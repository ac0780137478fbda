//! Delays of drivers, during which other fibers run.
//!
#![doc = include_str!("../README.md")]
#![no_std]

mod async_delay;
mod delay;

pub use async_delay::DelayTimer;
pub use delay::FiberDelay;
pub use embedded_hal;
pub use embedded_hal_async;
