//! Locks of the crate `lock_api` for which fibers wait.
//!
#![doc = include_str!("../README.md")]
#![no_std]
#![expect(
    clippy::mem_forget,
    reason = "a raw lock has no guard: the guards of kfiber are forgotten when they lock"
)]

mod mutex;
mod reentrant;
mod rw_lock;

pub use lock_api;
pub use mutex::{MappedMutexGuard, Mutex, MutexGuard, RawMutex};
pub use reentrant::{MappedReentrantMutexGuard, RawFiberId, ReentrantMutex, ReentrantMutexGuard};
pub use rw_lock::{
    MappedRwLockReadGuard, MappedRwLockWriteGuard, RawRwLock, RwLock, RwLockReadGuard,
    RwLockWriteGuard,
};
