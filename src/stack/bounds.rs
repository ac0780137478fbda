//! Where a stack lies, checked once.

use super::error::{self, StackError};
use core::ptr::NonNull;

/// Where a stack lies: `bottom` is its lowest byte, `top` is one past its highest, where it starts.
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
    /// Describes the memory of `size_bytes` from `bottom` on, with `guard_bytes` below it that are, or can be, unmapped.
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
    /// Says what is wrong with the range: see [`StackError`].
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

    /// As [`new`](Self::new), for a range that is known to be right.
    ///
    /// # Safety
    ///
    /// [`new`](Self::new) would accept it.
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

    /// The lowest byte.
    #[must_use]
    pub const fn bottom(&self) -> *mut u8 {
        self.bottom.as_ptr()
    }

    /// One past the highest byte.
    #[must_use]
    pub const fn top(&self) -> *mut u8 {
        self.bottom.as_ptr().wrapping_add(self.size_bytes)
    }

    /// Bytes from bottom to top.
    #[must_use]
    pub const fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// The addresses below `bottom` that are for a guard; empty if there is none.
    ///
    /// That the range is there does not mean that it is unmapped: see [`guard`](super::guard).
    #[must_use]
    pub fn guard(&self) -> core::ops::Range<usize> {
        let end = self.bottom.addr().get();
        end - self.guard_bytes..end
    }

    /// Says whether `address` lies between bottom and top.
    #[must_use]
    pub fn contains(&self, address: usize) -> bool {
        (self.bottom().addr()..self.top().addr()).contains(&address)
    }

    /// Checks that no two of `stacks` share a byte, guards included: one call at boot for a kernel's own table.
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
    /// [`StackError::Overlap`] with the indices of the first pair found. The cost is quadratic.
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
