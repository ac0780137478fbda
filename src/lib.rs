//! Fibers for `x86_64` kernels.
#![no_std]

pub mod stack;

pub mod context;

pub mod fiber;

mod atomic;

pub mod platform;

pub mod scheduler;

pub mod sync;
