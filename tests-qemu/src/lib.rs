//! The harness of the test kernels.
#![no_std]

pub mod protocol;
