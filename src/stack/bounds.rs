//! The bounds of a stack, which are checked once.

use super::error::{self, StackError};
use core::ptr::NonNull;

/// The bounds of a stack. `bottom` is its lowest byte, and `top` is one past its highest byte,
/// where an empty stack begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StackBounds {
    pub(super) bottom: NonNull<u8>,
    pub(super) size_bytes: usize,
    pub(super) guard_bytes: usize,
}

// SAFETY: two addresses; nothing is read or written through them but by functions that ask for S1.
unsafe impl Send for StackBounds {}
// SAFETY: as above.
unsafe impl Sync for StackBounds {}

impl StackBounds {
    /// Returns the bounds of a stack of `size_bytes` bytes at `bottom`, with a guard of
    /// `guard_bytes` bytes below it. The guard is unmapped already, or can be unmapped.
    ///
    /// ```
    /// use core::ptr::without_provenance_mut;
    /// use kfiber::stack::{StackBounds, StackError};
    ///
    /// let bounds = StackBounds::new(without_provenance_mut(0x9000), 0x4000, 0x1000)?;
    /// assert_eq!(bounds.guard(), 0x8000..0x9000);
    /// assert!(bounds.contains(0xcfff) && !bounds.contains(0xd000));
    /// let refused = StackBounds::new(without_provenance_mut(0x9001), 0x4000, 0);
    /// assert_eq!(refused, Err(StackError::BottomMisaligned { bottom: 0x9001 }));
    /// # Ok::<(), StackError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns a [`StackError`] that says what is wrong with the range.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler. Blocks: nothing.
    pub fn new(bottom: *mut u8, size_bytes: usize, guard_bytes: usize) -> Result<Self, StackError> {
        error::check(bottom.addr(), size_bytes, guard_bytes)?;
        NonNull::new(bottom)
            .ok_or(StackError::Null)
            .map(|bottom| Self {
                bottom,
                size_bytes,
                guard_bytes,
            })
    }

    /// Returns the bounds of a range that is known to be valid. The arguments are those of
    /// [`new`](Self::new).
    ///
    /// # Safety
    ///
    /// [`new`](Self::new) would accept the range.
    #[inline]
    pub(crate) const unsafe fn new_unchecked(
        bottom: *mut u8,
        size_bytes: usize,
        guard_bytes: usize,
    ) -> Self {
        Self {
            // SAFETY: the caller's promise.
            bottom: unsafe { NonNull::new_unchecked(bottom) },
            size_bytes,
            guard_bytes,
        }
    }

    /// Returns the address of the lowest byte.
    #[must_use]
    pub const fn bottom(&self) -> *mut u8 {
        self.bottom.as_ptr()
    }

    /// Returns the address one past the highest byte.
    #[must_use]
    pub const fn top(&self) -> *mut u8 {
        self.bottom.as_ptr().wrapping_add(self.size_bytes)
    }

    /// Returns the number of bytes from bottom to top.
    #[must_use]
    pub const fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// Returns the range of addresses below `bottom` that is reserved for a guard. It is empty if
    /// there is none.
    ///
    /// The range being reserved does not mean that it is unmapped: see [`guard`](super::guard).
    #[must_use]
    pub fn guard(&self) -> core::ops::Range<usize> {
        let end = self.bottom.addr().get();
        end - self.guard_bytes..end
    }

    /// Returns `true` if `address` lies between bottom and top.
    #[must_use]
    pub fn contains(&self, address: usize) -> bool {
        (self.bottom().addr()..self.top().addr()).contains(&address)
    }

    /// Checks that no two of `stacks` share a byte. Guards count as part of their stacks. A kernel
    /// that keeps its own table of stacks can call this once at boot.
    ///
    /// ```
    /// use kfiber::stack::{StackBounds, StackPool};
    /// # use kfiber::stack::Storage;
    ///
    /// static STACKS: StackPool<4096, 3> = StackPool::new();
    /// let bounds = STACKS.stacks().each_ref().map(|stack| stack.storage_bounds());
    /// assert_eq!(StackBounds::check_disjoint(&bounds), Ok(()));
    /// ```
    ///
    /// # Errors
    ///
    /// Returns [`StackError::Overlap`] with the indices of the first pair that overlaps. The cost
    /// is quadratic in the number of stacks.
    pub fn check_disjoint(stacks: &[Self]) -> Result<(), StackError> {
        for (second, b) in stacks.iter().enumerate() {
            for (first, a) in stacks[..second].iter().enumerate() {
                if a.guard().start < b.top().addr() && b.guard().start < a.top().addr() {
                    return Err(StackError::Overlap { first, second });
                }
            }
        }
        Ok(())
    }
}
