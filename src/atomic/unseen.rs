//! The atomic types for words whose accesses are no steps of an exploration, which would then have too
//! many.

#[cfg(not(kfiber_steps))]
pub(crate) use super::AtomicPtr;
#[cfg(kfiber_steps)]
pub(crate) use core::sync::atomic::AtomicPtr;
