//! The library for other targets than those of the tests, and from the oldest compiler.

pub(crate) mod custom;
pub(crate) mod oldest;
pub(crate) mod uefi;
