//! A panic, a fault or an overflow ends one fiber, and those who depend on the fiber are told.

#[cfg(not(target_os = "linux"))]
pub(crate) mod contain;
pub(crate) mod failing;
pub(crate) mod overflow;
pub(crate) mod scope_end;
#[cfg(not(target_os = "linux"))]
pub(crate) mod trap;
#[cfg(target_os = "linux")]
pub(crate) mod unwound;
#[cfg(all(feature = "x86_64", not(target_os = "linux")))]
pub mod watch;
