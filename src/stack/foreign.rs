//! A stack in memory that the kernel brings: mapped by its own allocator, found by the boot loader, on the heap.

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
    /// Takes the memory of `size_bytes` from `bottom` on, with `guard_bytes` below it that are, or can be, unmapped.
    ///
    /// The tops of equal stacks should not all have the same offset in a page: their hot lines would share a few
    /// cache sets. Vary `size_bytes` by a multiple of 64.
    ///
    /// # Errors
    ///
    /// [`StackError`] says what is wrong with the range. Nothing was written then.
    ///
    /// # Safety
    ///
    /// The range is writable, nothing else uses it, and this stays so until the stack is dropped; for ever, if it
    /// is forgotten (**S1** of the [module](super)).
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
