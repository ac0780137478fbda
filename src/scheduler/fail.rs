//! A panic, a fault or an overflow ends one fiber, and those who depend on the fiber are told.

#[cfg(target_os = "none")]
pub(crate) mod contain;
pub(crate) mod failing;
pub(crate) mod overflow;
pub(crate) mod scope_end;
#[cfg(target_os = "none")]
pub(crate) mod trap;
#[cfg(not(target_os = "none"))]
pub(crate) mod unwound;
#[cfg(target_os = "none")]
pub mod watch;
