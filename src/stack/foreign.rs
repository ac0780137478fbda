//! A stack in memory that the kernel supplies, for instance from its own allocator, from the boot
//! loader's map, or from the heap.

use super::{StackBounds, StackError, StackMemory, paint};

/// A stack in memory that your kernel mapped.
///
/// ```
/// use kfiber::stack::{ForeignStack, StackMemory};
///
/// let memory = Box::leak(vec![0u128; 1024].into_boxed_slice());
/// let bottom = memory.as_mut_ptr().cast::<u8>();
/// let size = (memory.len() * 16 + bottom.addr()) / 64 * 64 - bottom.addr(); // the top is 64-byte aligned
/// // SAFETY: the memory was leaked, so it is ours for good, and nobody else has it.
/// let stack = unsafe { ForeignStack::new(bottom, size, 0) }?;
/// assert_eq!(stack.bounds().size_bytes(), size);
/// # Ok::<(), kfiber::stack::StackError>(())
/// ```
#[derive(Debug)]
pub struct ForeignStack {
    bounds: StackBounds,
}

impl ForeignStack {
    /// Makes a stack of the `size_bytes` bytes at `bottom`, with a guard of `guard_bytes` bytes
    /// below it. The guard is unmapped already, or can be unmapped.
    ///
    /// The tops of equal stacks should not all have the same offset in a page, because their hot
    /// lines would then share a few cache sets. Vary `size_bytes` by a multiple of 64 to avoid
    /// that.
    ///
    /// # Errors
    ///
    /// Returns a [`StackError`] that says what is wrong with the range. In this case nothing was
    /// written.
    ///
    /// # Safety
    ///
    /// The range is writable, and nothing else uses it. This holds until the stack is dropped, and
    /// for ever if the stack is forgotten (**S1** of the [module](super)).
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler. Blocks: nothing.
    pub unsafe fn new(
        bottom: *mut u8,
        size_bytes: usize,
        guard_bytes: usize,
    ) -> Result<Self, StackError> {
        let bounds = StackBounds::new(bottom, size_bytes, guard_bytes)?;
        // SAFETY: S1, by the caller.
        unsafe { paint::plant_first_canary(bounds) };
        Ok(Self { bounds })
    }
}

// SAFETY: S1, by the caller of `new`; the bounds never change.
unsafe impl StackMemory for ForeignStack {
    const SIZE_BYTES: usize = 0;

    #[inline]
    fn bounds(&self) -> StackBounds {
        self.bounds
    }
}
