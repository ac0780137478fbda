//! Changes of an atomic word of which little or nothing is to be known afterwards. Their forms are
//! those for which there is one instruction, perhaps with a jump.

#[cfg(all(
    not(loom),
    any(target_os = "linux", feature = "smp", miri, kfiber_steps)
))]
use super::AtomicUsize;
use super::Ordering;
#[cfg(any(target_os = "linux", feature = "smp", loom, miri, kfiber_steps))]
use super::{AtomicPtr, AtomicU64};

/// Changes of bits. The constants have at most 31 bits.
pub(crate) trait Bits {
    /// Adds a number.
    fn add<const AMOUNT: u64>(&self, order: Ordering);

    /// Sets these bits.
    fn set<const BITS: u64>(&self, order: Ordering);

    /// Clears these bits.
    fn clear<const BITS: u64>(&self, order: Ordering);

    /// Clears this bit. Returns whether it was set.
    #[must_use]
    fn take<const BIT: u64>(&self, order: Ordering) -> bool;

    /// Behaves like [`take`](Self::take). What is done if the bit was set lies out of the way.
    #[inline(always)]
    #[must_use]
    fn take_aside<const BIT: u64>(&self, order: Ordering) -> bool {
        self.take::<BIT>(order)
    }

    /// Sets this bit. Returns whether it was clear.
    #[must_use]
    fn put<const BIT: u64>(&self, order: Ordering) -> bool;

    /// Returns whether the upper half of the word is this number.
    #[must_use]
    fn has_upper_half(&self, number: u32) -> bool;

    /// Returns whether one of these bits is set.
    #[must_use]
    fn has_any<const BITS: u64>(&self) -> bool;
}

/// Changes of a count.
#[cfg(not(loom))]
pub(crate) trait Count {
    /// Adds one.
    fn increment(&self, order: Ordering);

    /// Subtracts one.
    #[cfg(not(feature = "smp"))]
    fn decrement(&self, order: Ordering);
}

/// A change of a pointer.
pub(crate) trait Change<T> {
    /// Changes the pointer from `from` to `to`. Returns false if it was not `from`.
    #[must_use]
    fn change(&self, from: *mut T, to: *mut T, order: Ordering) -> bool;

    /// Behaves like [`change`](Self::change), for the address of something that waits. Returns the
    /// pointer that was there. It has the address of `from`, but `from` may have been read when another
    /// object lay there, and is no pointer to this one.
    #[must_use]
    fn take(&self, from: *mut T, to: *mut T, order: Ordering) -> Option<*mut T>;

    /// Behaves like [`change`](Self::change), for a pointer that lies at this offset in an object
    /// whose address is at hand.
    #[inline(always)]
    #[must_use]
    fn change_in<const OFFSET: usize>(&self, from: *mut T, to: *mut T, order: Ordering) -> bool {
        self.change(from, to, order)
    }
}

#[cfg(any(target_os = "linux", feature = "smp", loom, miri, kfiber_steps))]
impl<T> Change<T> for AtomicPtr<T> {
    #[inline(always)]
    fn change(&self, from: *mut T, to: *mut T, order: Ordering) -> bool {
        self.compare_exchange(from, to, order, Ordering::Relaxed)
            .is_ok()
    }

    #[inline(always)]
    fn take(&self, from: *mut T, to: *mut T, order: Ordering) -> Option<*mut T> {
        self.compare_exchange(from, to, order, Ordering::Relaxed)
            .ok()
    }
}

#[cfg(kfiber_steps)]
impl<T> Change<T> for super::unseen::AtomicPtr<T> {
    fn change(&self, from: *mut T, to: *mut T, order: Ordering) -> bool {
        self.compare_exchange(from, to, order, Ordering::Relaxed)
            .is_ok()
    }

    #[inline(always)]
    fn take(&self, from: *mut T, to: *mut T, order: Ordering) -> Option<*mut T> {
        self.compare_exchange(from, to, order, Ordering::Relaxed)
            .ok()
    }
}

#[cfg(any(target_os = "linux", feature = "smp", loom, miri, kfiber_steps))]
impl Bits for AtomicU64 {
    #[inline(always)]
    fn add<const AMOUNT: u64>(&self, order: Ordering) {
        self.fetch_add(AMOUNT, order);
    }

    #[inline(always)]
    fn set<const BITS: u64>(&self, order: Ordering) {
        self.fetch_or(BITS, order);
    }

    #[inline(always)]
    fn clear<const BITS: u64>(&self, order: Ordering) {
        self.fetch_and(!BITS, order);
    }

    #[inline(always)]
    fn take<const BIT: u64>(&self, order: Ordering) -> bool {
        self.fetch_and(!BIT, order) & BIT != 0
    }

    #[inline(always)]
    fn put<const BIT: u64>(&self, order: Ordering) -> bool {
        self.fetch_or(BIT, order) & BIT == 0
    }

    #[inline(always)]
    fn has_upper_half(&self, number: u32) -> bool {
        self.load(Ordering::Relaxed) >> 32 == u64::from(number)
    }

    #[inline(always)]
    fn has_any<const BITS: u64>(&self) -> bool {
        self.load(Ordering::Relaxed) & BITS != 0
    }
}

#[cfg(all(
    not(loom),
    any(target_os = "linux", feature = "smp", miri, kfiber_steps)
))]
impl Count for AtomicUsize {
    #[inline(always)]
    fn increment(&self, order: Ordering) {
        self.fetch_add(1, order);
    }

    #[cfg(not(feature = "smp"))]
    #[inline(always)]
    fn decrement(&self, order: Ordering) {
        self.fetch_sub(1, order);
    }
}
