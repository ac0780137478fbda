//! Atomic words for a kernel that uses kfiber on one core only: a build for the bare machine without
//! the feature `smp`.
//!
//! Nothing splits an instruction on a core: neither an interrupt, nor an exception, nor an NMI (Intel
//! SDM, volume 3A, 7.6). With one core a single instruction that reads and writes memory is therefore
//! atomic without the prefix `lock`, which costs more than all the rest of it. The compiler always
//! writes the prefix, so these instructions are written here. They have the names and the meaning of
//! those of `core`, except that no other core may access the word.
//!
//! - **U1**: only one core runs code of this crate. This is **P2** of
//!   [`Platform`](crate::platform::Platform).
//!
//! No instruction has the option `nomem`, so the compiler moves no access to memory across one. With
//! U1 this is all that an [`Ordering`] can ask for: a core sees its own accesses in their order.
//!
//! Conditions are jumps on the flags that an instruction leaves behind, as the compiler would make
//! them.

use super::bits::{Bits, Change, Count};
use core::arch::asm;
use core::ptr;
use core::sync::atomic::Ordering;

/// An atomic pointer.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct AtomicPtr<T>(core::sync::atomic::AtomicPtr<T>);

impl<T> AtomicPtr<T> {
    #[inline(always)]
    pub(crate) const fn new(value: *mut T) -> Self {
        Self(core::sync::atomic::AtomicPtr::new(value))
    }

    #[inline(always)]
    pub(crate) fn load(&self, order: Ordering) -> *mut T {
        self.0.load(order)
    }

    #[inline(always)]
    pub(crate) fn store(&self, value: *mut T, order: Ordering) {
        self.0.store(value, order);
    }

    /// Behaves like [`change`](Change::change), with the prefix. It takes the address as it is, so it is
    /// shorter where nothing else needs the address in a register.
    #[inline(always)]
    pub(crate) fn compare_exchange(
        &self,
        current: *mut T,
        new: *mut T,
        success: Ordering,
        failure: Ordering,
    ) -> Result<*mut T, *mut T> {
        self.0.compare_exchange(current, new, success, failure)
    }

    /// Sets the pointer, and returns what it was. An exchange with memory always locks, so this is a
    /// compare-exchange.
    #[inline(always)]
    pub(crate) fn swap(&self, value: *mut T, order: Ordering) -> *mut T {
        let mut before = self.0.load(Ordering::Relaxed);
        while !self.change(before, value, order) {
            before = self.0.load(Ordering::Relaxed);
        }
        before
    }
}

impl<T> Change<T> for AtomicPtr<T> {
    #[inline(always)]
    fn change(&self, from: *mut T, to: *mut T, _order: Ordering) -> bool {
        // SAFETY: one instruction changes the word, by U1 atomically. It jumps to the label or goes
        // on.
        unsafe {
            asm!(
                "cmpxchg qword ptr [{word}], {to}",
                "jne {differs}",
                word = in(reg) self.0.as_ptr(),
                to = in(reg) to,
                inout("rax") from => _,
                differs = label { return false },
                options(nostack),
            );
        }
        true
    }

    /// Here it is `from` itself. Only handlers come in between, and they put no other object there, since
    /// they do not wait.
    #[inline(always)]
    fn take(&self, from: *mut T, to: *mut T, order: Ordering) -> Option<*mut T> {
        self.change(from, to, order).then_some(from)
    }

    #[inline(always)]
    fn change_in<const OFFSET: usize>(&self, from: *mut T, to: *mut T, _order: Ordering) -> bool {
        let base = self.0.as_ptr().wrapping_byte_sub(OFFSET);
        // SAFETY: as above.
        unsafe {
            asm!(
                "cmpxchg qword ptr [{base} + {offset}], {to}",
                "jne {differs}",
                base = in(reg) base,
                offset = const OFFSET,
                to = in(reg) to,
                inout("rax") from => _,
                differs = label { return false },
                options(nostack),
            );
        }
        true
    }
}

/// Where a state word lies in the header of its fiber. The address of the header is in a register
/// wherever the word is used, and the instructions below add this to it. A word that lies elsewhere
/// works too, with one more instruction.
pub(crate) const PLACE_IN_HEADER: usize = 0x40;

/// An atomic number of 64 bits: a state word.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct AtomicU64(core::sync::atomic::AtomicU64);

impl AtomicU64 {
    #[inline(always)]
    pub(crate) const fn new(value: u64) -> Self {
        Self(core::sync::atomic::AtomicU64::new(value))
    }

    /// Returns the address from which the instructions count.
    #[inline(always)]
    const fn base(&self) -> *const u8 {
        ptr::from_ref(self)
            .cast::<u8>()
            .wrapping_sub(PLACE_IN_HEADER)
    }

    #[inline(always)]
    pub(crate) fn load(&self, order: Ordering) -> u64 {
        self.0.load(order)
    }

    #[inline(always)]
    pub(crate) fn store(&self, value: u64, order: Ordering) {
        self.0.store(value, order);
    }

    #[inline(always)]
    pub(crate) fn compare_exchange_weak(
        &self,
        current: u64,
        new: u64,
        _success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        // SAFETY: one instruction changes the word, by U1 atomically. It jumps to the label or
        // goes on.
        unsafe {
            asm!(
                "cmpxchg qword ptr [{base} + {place}], {new}",
                "jne {differs}",
                base = in(reg) self.base(),
                place = const PLACE_IN_HEADER,
                new = in(reg) new,
                inout("rax") current => _,
                differs = label { return Err(self.0.load(failure)) },
                options(nostack),
            );
        }
        Ok(current)
    }

    /// Changes the word until nobody else has changed it meanwhile. Returns what it was.
    #[inline(always)]
    fn update(&self, change: impl Fn(u64) -> u64) -> u64 {
        let relaxed = Ordering::Relaxed;
        let mut before = self.0.load(relaxed);
        while let Err(seen) = self.compare_exchange_weak(before, change(before), relaxed, relaxed) {
            before = seen;
        }
        before
    }

    #[inline(always)]
    pub(crate) fn fetch_or(&self, bits: u64, _order: Ordering) -> u64 {
        self.update(|word| word | bits)
    }

    #[inline(always)]
    pub(crate) fn fetch_and(&self, bits: u64, _order: Ordering) -> u64 {
        self.update(|word| word & bits)
    }

    #[inline(always)]
    pub(crate) fn fetch_add(&self, amount: u64, _order: Ordering) -> u64 {
        let before;
        // SAFETY: one instruction changes the word, by U1 atomically.
        unsafe {
            asm!(
                "xadd qword ptr [{base} + {place}], {amount}",
                base = in(reg) self.base(),
                place = const PLACE_IN_HEADER,
                amount = inout(reg) amount => before,
                options(nostack),
            );
        }
        before
    }
}

/// A count.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct AtomicUsize(core::sync::atomic::AtomicUsize);

impl AtomicUsize {
    #[inline(always)]
    pub(crate) const fn new(value: usize) -> Self {
        Self(core::sync::atomic::AtomicUsize::new(value))
    }

    #[inline(always)]
    pub(crate) fn load(&self, order: Ordering) -> usize {
        self.0.load(order)
    }
}

impl Count for AtomicUsize {
    #[inline(always)]
    fn increment(&self, _order: Ordering) {
        // SAFETY: one instruction changes the word, by U1 atomically.
        unsafe {
            asm!("inc qword ptr [{}]", in(reg) self.0.as_ptr(), options(nostack));
        }
    }

    #[inline(always)]
    fn decrement(&self, _order: Ordering) {
        // SAFETY: as above.
        unsafe {
            asm!("dec qword ptr [{}]", in(reg) self.0.as_ptr(), options(nostack));
        }
    }
}

impl Bits for AtomicU64 {
    #[inline(always)]
    fn add<const AMOUNT: u64>(&self, _order: Ordering) {
        // SAFETY: one instruction changes the word, by U1 atomically.
        unsafe {
            asm!(
                "add qword ptr [{base} + {place}], {amount}",
                base = in(reg) self.base(),
                place = const PLACE_IN_HEADER,
                amount = const AMOUNT,
                options(nostack),
            );
        }
    }

    #[inline(always)]
    fn set<const BITS: u64>(&self, _order: Ordering) {
        // SAFETY: as above.
        unsafe {
            asm!(
                "or qword ptr [{base} + {place}], {bits}",
                base = in(reg) self.base(),
                place = const PLACE_IN_HEADER,
                bits = const BITS,
                options(nostack),
            );
        }
    }

    #[inline(always)]
    fn clear<const BITS: u64>(&self, _order: Ordering) {
        // SAFETY: as above.
        unsafe {
            asm!(
                "and qword ptr [{base} + {place}], {bits}",
                base = in(reg) self.base(),
                place = const PLACE_IN_HEADER,
                bits = const { !BITS.cast_signed() },
                options(nostack),
            );
        }
    }

    #[inline(always)]
    fn take<const BIT: u64>(&self, _order: Ordering) -> bool {
        // SAFETY: one instruction changes the word, by U1 atomically. It jumps to the label or goes
        // on.
        unsafe {
            asm!(
                "btr qword ptr [{base} + {place}], {index}",
                "jnc {was_clear}",
                base = in(reg) self.base(),
                place = const PLACE_IN_HEADER,
                index = const { BIT.trailing_zeros() },
                was_clear = label { return false },
                options(nostack),
            );
        }
        true
    }

    #[inline(always)]
    fn take_aside<const BIT: u64>(&self, _order: Ordering) -> bool {
        // SAFETY: as above.
        unsafe {
            asm!(
                "btr qword ptr [{base} + {place}], {index}",
                "jc {was_set}",
                base = in(reg) self.base(),
                place = const PLACE_IN_HEADER,
                index = const { BIT.trailing_zeros() },
                was_set = label { return true },
                options(nostack),
            );
        }
        false
    }

    #[inline(always)]
    fn put<const BIT: u64>(&self, _order: Ordering) -> bool {
        // SAFETY: as in `take`.
        unsafe {
            asm!(
                "bts qword ptr [{base} + {place}], {index}",
                "jc {was_set}",
                base = in(reg) self.base(),
                place = const PLACE_IN_HEADER,
                index = const { BIT.trailing_zeros() },
                was_set = label { return false },
                options(nostack),
            );
        }
        true
    }

    #[inline(always)]
    fn has_upper_half(&self, number: u32) -> bool {
        // SAFETY: it reads half of the word, and jumps to the label or goes on.
        unsafe {
            asm!(
                "cmp dword ptr [{base} + {place}], {number:e}",
                "jne {differs}",
                base = in(reg) self.base(),
                place = const PLACE_IN_HEADER + 4,
                number = in(reg) number,
                differs = label { return false },
                options(nostack, readonly),
            );
        }
        true
    }

    #[inline(always)]
    fn has_any<const BITS: u64>(&self) -> bool {
        // SAFETY: it reads the word, and jumps to the label or goes on.
        unsafe {
            asm!(
                "test dword ptr [{base} + {place}], {bits}",
                "jnz {some}",
                base = in(reg) self.base(),
                place = const PLACE_IN_HEADER,
                bits = const BITS,
                some = label { return true },
                options(nostack, readonly),
            );
        }
        false
    }
}
