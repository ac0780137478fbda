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

mod bounds;
mod error;
mod foreign;
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
/// As [`StackMemory::usage`], of a range.
pub(crate) use paint::measure as usage_of;
pub(crate) use paint::{
    CANARY, CANARY_TOP_AT, canary_address, is_canary_intact, is_canary_top_intact,
    plant_first_canary,
};
pub use pool::{GuardedStackPool, Pool, PoolExhausted, StackPool};
pub(crate) use storage::page_colour;
pub use storage::{GuardedStack, Stack, StackInUse, Storage, Taken};

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
