//! Static storage for stacks, dense and guarded, and the handle that gives one owner at a time
//! access to it.

use super::{MIN_SIZE_BYTES, PAGE_SIZE, StackBounds, StackMemory, TOP_ALIGN, paint};
use core::cell::UnsafeCell;
use core::fmt;
use core::mem::MaybeUninit;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicBool, Ordering};

type Bytes<const N: usize> = UnsafeCell<[MaybeUninit<u8>; N]>;

/// A static from which a stack can be taken: [`Stack`] or [`GuardedStack`].
///
/// # Safety
///
/// - `storage_bounds` always describes the same memory, which lies inside the value and has at
///   least `SIZE_BYTES` bytes.
/// - That memory is read and written only through a [`StackHandle`]. It begins with the owner
///   word, which is an [`AtomicBool`].
pub unsafe trait Storage: Sync + Sized {
    /// An unused storage, whose bytes are all zero.
    const NEW: Self;

    /// The size that [`StackMemory::SIZE_BYTES`] describes.
    const SIZE_BYTES: usize;

    /// Returns the bounds of the stack and of its guard.
    fn storage_bounds(&self) -> StackBounds;

    /// Takes the stack and returns the handle, through which alone it may be used from now on.
    ///
    /// # Errors
    ///
    /// Returns [`StackInUse`] if a handle exists, or if one was forgotten. A suspended fiber that
    /// is dropped forgets its handle.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core; of several at once exactly one
    /// succeeds. Blocks: nothing.
    fn take(&'static self) -> Result<StackHandle<Self>, StackInUse> {
        let bounds = self.storage_bounds();
        if owner(bounds.bottom()).swap(true, Ordering::Acquire) {
            return Err(StackInUse);
        }
        // SAFETY: S2, the exchange made us the owner, so S1 holds.
        unsafe { paint::plant_canary(bounds) };
        Ok(StackHandle { storage: self })
    }
}

/// Returns the owner word of a storage whose stack has this bottom.
const fn owner(bottom: *mut u8) -> &'static AtomicBool {
    // SAFETY: `Storage` promises the word at the bottom, and a storage that is taken is a static. It is accessed only
    // here, as an atomic, and by an overflow.
    unsafe { AtomicBool::from_ptr(bottom.cast()) }
}

/// Gives back a storage whose handle was forgotten, as dropping the handle would.
///
/// # Safety
///
/// `bottom` is the bottom of the storage's stack, which nobody uses any more. This is called once
/// for each handle that was forgotten.
#[inline(always)]
pub(crate) unsafe fn give_back(bottom: *mut u8) {
    owner(bottom).store(false, Ordering::Release);
}

/// The error returned when a stack is in use already: another handle exists, or the stack was
/// leaked with a suspended fiber on it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct StackInUse;

debug_is_display!(StackInUse);

impl fmt::Display for StackInUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stack is in use: each static has one owner at a time; add another, or a pool")
    }
}

impl core::error::Error for StackInUse {}

/// A stack that was taken from a static. This is the only handle on it.
///
/// Dropping the handle gives the storage back. Forgetting it leaves the storage in use for ever.
pub struct StackHandle<T: Storage + 'static> {
    storage: &'static T,
}

// SAFETY: S1, S2: the handle is the only one, so the range is its own; the storage is a static, so it stays; and
// `Storage` vouches for range and size.
unsafe impl<T: Storage> StackMemory for StackHandle<T> {
    const SIZE_BYTES: usize = T::SIZE_BYTES;

    #[inline]
    fn bounds(&self) -> StackBounds {
        self.storage.storage_bounds()
    }
}

impl<T: Storage> Drop for StackHandle<T> {
    fn drop(&mut self) {
        // SAFETY: this is the handle, and it is used no more.
        unsafe { give_back(self.bounds().bottom()) };
    }
}

impl<T: Storage> fmt::Debug for StackHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StackHandle").field(&self.bounds()).finish()
    }
}

/// A dense stack of `N` bytes in a static. It is 64-byte aligned, has no guard page, and takes
/// `N + 64` bytes in all.
///
/// `N` counts the stack alone. It is a multiple of 128 and at least [`MIN_SIZE_BYTES`]. The 64 bytes
/// beyond `N` hold the control block. Neighbours in an array are therefore an odd number of cache lines apart, so their
/// hot lines fall into different cache sets.
///
/// ```
/// use kfiber::stack::{Stack, Storage};
///
/// static STACK: Stack<{ 16 * 1024 }> = Stack::new();
/// let stack = STACK.take()?;
/// assert!(STACK.take().is_err(), "one owner at a time");
/// drop(stack);
/// assert!(STACK.take().is_ok());
/// # Ok::<(), kfiber::stack::StackInUse>(())
/// ```
///
/// ```compile_fail
/// use kfiber::stack::Stack;
/// static STACK: Stack<1000> = Stack::new(); // too small, and not a multiple of 128
/// ```
#[repr(C, align(64))]
pub struct Stack<const N: usize> {
    frames: Bytes<N>,
    block: Bytes<TOP_ALIGN>,
}

// SAFETY: shared references give access to the bytes only through the owner word (S2).
unsafe impl<const N: usize> Sync for Stack<N> {}

impl<const N: usize> Stack<N> {
    const CHECK: () = {
        assert!(
            N >= MIN_SIZE_BYTES,
            "Stack<N>: N is too small, a stack needs at least 1024 bytes"
        );
        assert!(
            N.is_multiple_of(128),
            "Stack<N>: N must be a multiple of 128 bytes"
        );
    };

    /// Returns an unused stack. An `N` that is too small, or is not a multiple of 128, does not
    /// compile.
    #[must_use]
    pub const fn new() -> Self {
        Self::NEW
    }
}

impl<const N: usize> Default for Stack<N> {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: the range is the value itself; its fields are private and used nowhere else. It begins with zero bytes, an
// `AtomicBool` that is false.
unsafe impl<const N: usize> Storage for Stack<N> {
    const NEW: Self = {
        let () = Self::CHECK;
        Self {
            frames: UnsafeCell::new([MaybeUninit::zeroed(); N]),
            block: UnsafeCell::new([MaybeUninit::zeroed(); TOP_ALIGN]),
        }
    };
    const SIZE_BYTES: usize = N + TOP_ALIGN;

    #[inline]
    fn storage_bounds(&self) -> StackBounds {
        let bottom = ptr::from_ref(self).cast_mut().cast();
        StackBounds {
            // SAFETY: a reference is not null.
            bottom: unsafe { NonNull::new_unchecked(bottom) },
            size_bytes: Self::SIZE_BYTES,
            guard_bytes: 0,
        }
    }
}

impl<const N: usize> fmt::Debug for Stack<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stack")
            .field(&self.storage_bounds())
            .finish()
    }
}

/// A page-aligned stack in a static, with one page below it that is reserved for a guard.
///
/// Other than that of a [`Stack`], its `N` counts the stack and the control block, but not the
/// guard. It is a multiple of [`PAGE_SIZE`] and at least two pages. The top is moved down by 0 to 15
/// cache lines, depending on the address, so that the hot lines of neighbours fall into different
/// cache sets.
///
/// The guard page is ordinary memory until the kernel unmaps it with
/// [`guard::unmap`](super::guard::unmap).
///
/// ```
/// use kfiber::stack::{GuardedStack, StackMemory, Storage};
///
/// static STACK: GuardedStack<{ 16 * 1024 }> = GuardedStack::new();
/// let stack = STACK.take()?;
/// assert_eq!(stack.bounds().guard().len(), 4096);
/// # Ok::<(), kfiber::stack::StackInUse>(())
/// ```
#[repr(C, align(4096))]
pub struct GuardedStack<const N: usize> {
    guard: Bytes<PAGE_SIZE>,
    frames: Bytes<N>,
}

// SAFETY: shared references give access to the bytes only through the owner word (S2).
unsafe impl<const N: usize> Sync for GuardedStack<N> {}

/// Returns the number of cache lines, 0 to 15, by which the hot end of an object that begins at
/// this page is moved, so that neighbours use different cache sets.
#[inline(always)]
pub(crate) const fn page_colour(address: usize) -> usize {
    // The upper bits of a product with a large odd constant spread most strides well.
    (address / PAGE_SIZE).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60
}

/// The largest distance, in bytes, by which the top of a guarded stack is moved down.
const MAX_SHIFT: usize = 15 * TOP_ALIGN;

impl<const N: usize> GuardedStack<N> {
    const CHECK: () = {
        assert!(
            N.is_multiple_of(PAGE_SIZE),
            "GuardedStack<N>: N must be a multiple of the page size, 4096 bytes"
        );
        assert!(
            N >= 2 * PAGE_SIZE,
            "GuardedStack<N>: N is too small, a guarded stack needs at least 8192 bytes"
        );
    };

    /// Returns an unused stack. An `N` below two pages, or one that is not a multiple of a page,
    /// does not compile.
    #[must_use]
    pub const fn new() -> Self {
        Self::NEW
    }
}

impl<const N: usize> Default for GuardedStack<N> {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: the range lies inside the value; its fields are private and used nowhere else. It begins with zero bytes, an
// `AtomicBool` that is false. The shift is at most MAX_SHIFT.
unsafe impl<const N: usize> Storage for GuardedStack<N> {
    const NEW: Self = {
        let () = Self::CHECK;
        Self {
            guard: UnsafeCell::new([MaybeUninit::zeroed(); PAGE_SIZE]),
            frames: UnsafeCell::new([MaybeUninit::zeroed(); N]),
        }
    };
    const SIZE_BYTES: usize = N - MAX_SHIFT;

    #[inline]
    fn storage_bounds(&self) -> StackBounds {
        let start: *mut u8 = ptr::from_ref(self).cast_mut().cast();
        let bottom = start.wrapping_add(PAGE_SIZE);
        let shift = page_colour(bottom.addr()) * TOP_ALIGN;
        StackBounds {
            // SAFETY: an address inside a value is not null.
            bottom: unsafe { NonNull::new_unchecked(bottom) },
            size_bytes: N - shift,
            guard_bytes: PAGE_SIZE,
        }
    }
}

impl<const N: usize> fmt::Debug for GuardedStack<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GuardedStack")
            .field(&self.storage_bounds())
            .finish()
    }
}
