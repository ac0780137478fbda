//! Which fiber runs on this core, and whether it may wait.

#[cfg(all(feature = "smp", not(target_os = "linux")))]
pub(crate) mod core_local;
pub(crate) mod current;
pub(crate) mod misuse;
pub(crate) mod no_unwind;
