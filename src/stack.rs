//! Memory that fibers run on: static storage, its bounds, its guard, and what was used of it.
//!
//! ```text
//!   higher addresses
//!   top     ─► ┌──────────────────────┐ ◄─ 64-byte aligned
//!              │ control block        │    one line: what a switch reads and writes
//!              ├──────────────────────┤
//!              │ closure, then result │    moved in by `Fiber::new`, at its own alignment
//!              ├──────────────────────┤ ◄─ 16-byte aligned: the first stack pointer
//!              │ frames, growing down │
//!              │          ▼           │
//!              │ unused (painted)     │
//!              ├──────────────────────┤
//!              │ canary, owner        │    16 bytes
//!   bottom  ─► ├──────────────────────┤
//!              │ guard page           │    only in a `GuardedStack`, once the kernel unmapped it
//!              └──────────────────────┘
//! ```
//!
//! | storage | align | size | overflow is seen |
//! |---|---|---|---|
//! | [`Stack<N>`] | 64 | `N + 64` bytes, dense | by the canary, after the fact |
//! | [`GuardedStack<N>`] | 4096 | `N + 4096` bytes | by the guard page, at once, if [`guard::unmap`] was called |
//! | [`ForeignStack`] | 64 | whatever your kernel mapped | as your kernel arranged it |
//!
//! Both static kinds are made of zero bytes and land in `.bss`: they cost nothing in the image. Neighbours in an array
//! have their control blocks in different sets of the first-level cache: the stride of a [`Stack`] is an odd number of
//! lines, and a [`GuardedStack`] moves its top down by 0 to 15 lines, by its address.
//!
//! # Invariants
//!
//! Named here, cited by every `unsafe` block that relies on them:
//!
//! - **S1**: the bytes from `bottom` to `top` of a [`StackMemory`] are writable, are used by nobody else, and stay so
//!   until the value is dropped; for ever, if it is forgotten.
//! - **S2**: a static storage is referred to by at most one handle ([`Taken`]) at a time: its `owner` word is set by one
//!   atomic exchange, and cleared by dropping the handle.

mod error;
mod foreign;
pub mod guard;
mod paint;
mod pool;
mod storage;

use core::ptr::NonNull;

pub use error::StackError;
pub use foreign::ForeignStack;
pub use paint::StackUsage;
/// As [`StackMemory::usage`], of a range.
pub(crate) use paint::measure as usage_of;
pub(crate) use paint::{
    CANARY, CANARY_TOP_AT, canary_address, is_canary_intact, is_canary_top_intact,
    plant_first_canary,
};
pub use pool::{GuardedStackPool, Pool, PoolExhausted, StackPool};
pub(crate) use storage::page_colour;
pub use storage::{GuardedStack, Stack, StackInUse, Storage, Taken};

/// Alignment of a stack's top, and of the control block below it: one cache line.
pub const TOP_ALIGN: usize = 64;

/// Alignment of a stack pointer at a call, and of a stack's bottom (x86-64 psABI, 3.2.2).
pub const STACK_ALIGN: usize = 16;

/// Size of a page, of a guard, and the alignment of guarded stacks.
pub const PAGE_SIZE: usize = 4096;

/// The smallest stack that the API accepts, in bytes.
///
/// In a release build it holds a small closure that waits in every way there is, and an interrupt that comes when the stack
/// is deepest, if its handler does little more than wake a fiber: the tests under a storm of interrupts measure about 550
/// bytes, 180 of them the registers that the handler's entry saves. In a debug build the same takes about 4,000 bytes, so
/// give it 5,120 or more. A handler that does more, on the stack that it interrupts, wants its share on top in every stack.
pub const MIN_SIZE_BYTES: usize = 1024;

/// Bytes at the bottom of each stack that are not for frames: the canary and the owner word.
pub const FLOOR_BYTES: usize = 16;

/// Memory that a fiber can run on.
///
/// Implemented by the handles of this module; implement it for memory that your kernel maps itself only where
/// [`ForeignStack`] does not fit.
///
/// # Safety
///
/// - **S1** holds for the range that [`bounds`](Self::bounds) returns, and `bounds` always returns the same.
/// - The memory stays valid even if the value is forgotten: no `&mut [u8]` borrowed from a frame can implement this.
/// - The range has at least [`SIZE_BYTES`](Self::SIZE_BYTES) bytes.
pub unsafe trait StackMemory {
    /// Bytes between bottom and top that are known at compile time, 0 if none are. A closure that is too large
    /// for them is refused by the compiler; one that is too large for the real size is refused when the fiber is made.
    const SIZE_BYTES: usize;

    /// Returns where the memory lies.
    fn bounds(&self) -> StackBounds;

    /// Fills all that is unused with the paint that [`usage`](Self::usage) looks for, and renews the canary.
    ///
    /// It writes the whole stack, so call it where time does not matter. A static stack that was never used needs no
    /// paint: it is zero, which `usage` takes for unused as well.
    ///
    /// ```
    /// use kfiber::stack::{Stack, StackMemory, Storage};
    ///
    /// static STACK: Stack<4096> = Stack::new();
    /// let mut stack = STACK.take()?;
    /// stack.paint();
    /// assert_eq!(stack.usage().used_bytes, 0);
    /// # Ok::<(), kfiber::stack::StackInUse>(())
    /// ```
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler. Blocks: nothing.
    fn paint(&mut self) {
        // SAFETY: S1, and `&mut self` shows that no fiber runs on it.
        unsafe { paint::fill(self.bounds()) };
    }

    /// Measures how much of the memory was ever used, from the lowest word that is not as it was when unused: paint, or
    /// zero in memory that was never painted. There a frame that only wrote zeros is not seen.
    ///
    /// All of it counts as used once the canary is damaged. It reads up to the whole stack.
    ///
    /// ```
    /// use kfiber::stack::{Stack, StackMemory, Storage};
    ///
    /// static STACK: Stack<4096> = Stack::new();
    /// let stack = STACK.take()?;
    /// assert!(stack.is_canary_intact());
    /// assert_eq!(stack.usage().free_bytes(), stack.bounds().size_bytes());
    /// # Ok::<(), kfiber::stack::StackInUse>(())
    /// ```
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler. Blocks: nothing.
    #[must_use]
    fn usage(&self) -> StackUsage {
        // SAFETY: S1.
        unsafe { paint::measure(self.bounds()) }
    }

    /// Says whether the canary at the bottom is still what it was, that is, whether no overflow wrote over it.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler. Blocks: nothing.
    #[must_use]
    fn is_canary_intact(&self) -> bool {
        // SAFETY: S1.
        unsafe { is_canary_intact(self.bounds()) }
    }
}

/// Where a stack lies: `bottom` is its lowest byte, `top` is one past its highest, where it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StackBounds {
    bottom: NonNull<u8>,
    size_bytes: usize,
    guard_bytes: usize,
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
    /// That the range is there does not mean that it is unmapped: see [`guard`].
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
