//! Memory that fibers run on: static storage, its bounds, its guard page, and its measured use.
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
//! | storage | alignment | size | how an overflow is detected |
//! |---|---|---|---|
//! | [`Stack<N>`] | 64 | `N + 64` bytes, dense | by the canary, afterwards |
//! | [`GuardedStack<N>`] | 4096 | `N + 4096` bytes | by the guard page, at once, if [`guard::unmap`] was called |
//! | [`ForeignStack`] | 64 | the size that your kernel mapped | by what your kernel provides |
//!
//! The *canary* is a known value at the bottom of a stack. An overflow that goes beyond the bottom
//! overwrites it. *Painting* a stack fills its unused bytes with a pattern, so that its use can be
//! measured later. A *dense* stack has no guard page, so neighbours in an array adjoin each other.
//!
//! Both static kinds consist of zero bytes and are placed in `.bss`, so they take no space in the
//! image. The control blocks of neighbours in an array fall into different sets of the first-level
//! cache: the stride of a [`Stack`] is an odd number of cache lines, and a [`GuardedStack`] moves
//! its top down by 0 to 15 lines, depending on its address.
//!
//! # Invariants
//!
//! The invariants are named here. Every `unsafe` block that relies on one cites its name.
//!
//! - **S1**: the bytes from `bottom` to `top` of a [`StackMemory`] are writable and are used by
//!   nobody else. This holds until the value is dropped, and for ever if the value is forgotten.
//! - **S2**: at most one handle ([`StackHandle`]) refers to a static storage at a time. One atomic
//!   exchange sets the storage's `owner` word, and dropping the handle clears it.

mod bounds;
mod error;
mod foreign;
#[cfg(feature = "x86_64")]
pub mod guard;
mod layout;
mod paint;
mod pool;
mod storage;

pub use bounds::StackBounds;
pub use error::StackError;
pub use foreign::ForeignStack;
pub use layout::{FLOOR_BYTES, MIN_SIZE_BYTES, PAGE_SIZE, STACK_ALIGN, TOP_ALIGN};
pub use paint::StackUsage;
/// Measures the use of a range as [`StackMemory::usage`] does.
pub(crate) use paint::measure as usage_of;
pub(crate) use paint::{
    CANARY, CANARY_TOP_AT, canary_address, is_canary_intact, is_canary_top_intact,
    plant_first_canary,
};
pub use pool::{GuardedStackPool, Pool, PoolExhausted, StackPool};
pub use storage::{GuardedStack, Stack, StackHandle, StackInUse, Storage};
pub(crate) use storage::{give_back, page_colour};

/// Memory that a fiber can run on.
///
/// The handles of this module implement this trait. Implement it yourself only for memory that your
/// kernel maps and that [`ForeignStack`] does not fit.
///
/// # Safety
///
/// - **S1** holds for the range that [`bounds`](Self::bounds) returns, and `bounds` always returns
///   the same range.
/// - The memory stays valid even if the value is forgotten. A type that borrows a `&mut [u8]` from
///   a stack frame therefore cannot implement this trait.
/// - The range has at least [`SIZE_BYTES`](Self::SIZE_BYTES) bytes.
pub unsafe trait StackMemory {
    /// The number of bytes between bottom and top that is known at compile time, or 0 if none is.
    ///
    /// The compiler refuses a closure that is too large for this size. A closure that is too large
    /// for the actual size is refused when the fiber is made.
    const SIZE_BYTES: usize;

    /// Returns the bounds of the memory.
    fn bounds(&self) -> StackBounds;

    /// Fills all unused bytes with the pattern that [`usage`](Self::usage) looks for, and renews
    /// the canary.
    ///
    /// This writes the whole stack, so call it where time does not matter. A static stack that was
    /// never used need not be painted: it is zero, and `usage` takes zero for unused as well.
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

    /// Measures how much of the memory was ever used.
    ///
    /// The used part begins at the lowest word that differs from an unused one. An unused word
    /// holds the paint, or zero in memory that was never painted. In unpainted memory a frame that
    /// wrote only zeros is not seen.
    ///
    /// The whole stack counts as used once the canary is damaged. This function reads up to the
    /// whole stack.
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

    /// Returns `true` if the canary at the bottom is unchanged, that is, if no overflow overwrote
    /// it.
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
