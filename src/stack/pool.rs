//! A pool of equal stacks in one static.

use super::storage::{GuardedStack, Stack, StackHandle, Storage};
use core::fmt;
use core::sync::atomic::{AtomicUsize, Ordering};

/// A pool of `COUNT` dense stacks of `N` bytes.
pub type StackPool<const N: usize, const COUNT: usize> = Pool<Stack<N>, COUNT>;

/// A pool of `COUNT` guarded stacks of `N` bytes.
pub type GuardedStackPool<const N: usize, const COUNT: usize> = Pool<GuardedStack<N>, COUNT>;

/// A pool of `COUNT` equal stacks in one static.
///
/// A stack returns to the pool when its handle is dropped. Taking a stack costs a single probe
/// while stacks are used in turn, and `COUNT` probes when none is free.
///
/// ```
/// use kfiber::stack::StackPool;
///
/// static STACKS: StackPool<4096, 2> = StackPool::new();
/// let first = STACKS.take()?;
/// let second = STACKS.take()?;
/// assert!(STACKS.take().is_err());
/// drop(first);
/// assert!(STACKS.take().is_ok());
/// # drop(second);
/// # Ok::<(), kfiber::stack::PoolExhausted>(())
/// ```
pub struct Pool<T: Storage, const COUNT: usize> {
    stacks: [T; COUNT],
    /// The index at which the next search begins. It is only a hint, so it needs no ordering.
    next: AtomicUsize,
}

impl<T: Storage, const COUNT: usize> Pool<T, COUNT> {
    /// Returns a pool of unused stacks. A `COUNT` of zero does not compile.
    #[must_use]
    pub const fn new() -> Self {
        const { assert!(COUNT > 0, "a stack pool needs at least one stack") };
        Self {
            stacks: [const { T::NEW }; COUNT],
            next: AtomicUsize::new(0),
        }
    }

    /// Takes any stack that is free.
    ///
    /// # Errors
    ///
    /// Returns [`PoolExhausted`] if each stack was in use when the search looked at it.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core; no stack is handed out twice. Blocks:
    /// nothing.
    pub fn take(&'static self) -> Result<StackHandle<T>, PoolExhausted> {
        let start = self.next.load(Ordering::Relaxed);
        for index in (start..COUNT).chain(0..start.min(COUNT)) {
            if let Ok(stack) = self.stacks[index].take() {
                self.next.store(index + 1, Ordering::Relaxed);
                return Ok(stack);
            }
        }
        Err(PoolExhausted { count: COUNT })
    }

    /// Returns the stacks themselves, for instance to unmap their guard pages at boot.
    #[must_use]
    pub const fn stacks(&self) -> &[T; COUNT] {
        &self.stacks
    }
}

impl<T: Storage, const COUNT: usize> Default for Pool<T, COUNT> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Storage, const COUNT: usize> fmt::Debug for Pool<T, COUNT> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("count", &COUNT)
            .finish_non_exhaustive()
    }
}

/// The error returned when all stacks of a pool are in use.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PoolExhausted {
    /// The number of stacks in the pool.
    pub count: usize,
}

debug_is_display!(PoolExhausted);

impl fmt::Display for PoolExhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "all {} stacks of the pool are in use: end a fiber, or make the pool larger",
            self.count
        )
    }
}

impl core::error::Error for PoolExhausted {}
