//! Where scheduled fibers live: a static with a stack and, above it, a control block that is never
//! anything else.
//!
//! Ids of fibers that have ended still point to the control block and are compared with its
//! content, so its memory must not become part of a stack. This is why a scheduler does not take
//! the plain stacks of [`stack`](crate::stack).

use crate::scheduler::task::control::Control;
use crate::stack::{MIN_SIZE_BYTES, PAGE_SIZE, Pool, StackBounds, Storage, TOP_ALIGN, page_colour};
use core::cell::UnsafeCell;
use core::fmt;
use core::mem::MaybeUninit;
use core::ptr;

/// A static in which a scheduled fiber can live: [`FiberCell`] or [`GuardedFiberCell`].
///
/// # Safety
///
/// At the top of [`storage_bounds`](Storage::storage_bounds) lies a control block of this module.
/// It is zero at first, and nothing but the scheduler ever uses it.
pub unsafe trait FiberStorage: Storage + 'static {}

/// The stack, closure, result and control block of one fiber in one static: a dense cell with `N`
/// bytes of stack.
///
/// `N` counts the stack alone. It is a multiple of 128 and at least [`MIN_SIZE_BYTES`]. The static
/// has `N + 192` bytes on the bare target: the control block takes three cache lines, so that
/// neighbours in an array are an odd number of lines apart. With the feature `smp` these are
/// `N + 320` bytes, and five lines.
///
/// ```
/// use kfiber::{platform::Host, scheduler::{FiberCell, Scheduler}};
///
/// static SCHEDULER: Scheduler<Host> = Scheduler::new(Host::new());
/// static WORKER: FiberCell<65536> = FiberCell::new();
///
/// let data = [1, 2, 3];
/// let worker = SCHEDULER.spawn(&WORKER, move || data.iter().sum::<i32>())?;
/// SCHEDULER.run();
/// assert_eq!(worker.try_join().unwrap(), 6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[repr(C, align(64))]
pub struct FiberCell<const N: usize> {
    frames: UnsafeCell<[MaybeUninit<u8>; N]>,
    control: Control,
}

// SAFETY: shared references give access to the frames only through the owner word, and to the
// control block only as the scheduler's rules allow.
unsafe impl<const N: usize> Sync for FiberCell<N> {}

impl<const N: usize> FiberCell<N> {
    const CHECK: () = {
        assert!(
            N >= MIN_SIZE_BYTES,
            "FiberCell<N>: N is too small, a stack needs at least 1024 bytes"
        );
        assert!(
            N.is_multiple_of(128),
            "FiberCell<N>: N must be a multiple of 128 bytes"
        );
    };

    /// Returns an unused cell. An `N` that is too small or not a multiple of 128 does not compile.
    #[must_use]
    pub const fn new() -> Self {
        Self::NEW
    }
}

impl<const N: usize> Default for FiberCell<N> {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: the range is `frames`, which is private and used nowhere else. It begins with zero bytes.
unsafe impl<const N: usize> Storage for FiberCell<N> {
    const NEW: Self = {
        let () = Self::CHECK;
        Self {
            frames: UnsafeCell::new([MaybeUninit::zeroed(); N]),
            control: Control::NEW,
        }
    };
    const SIZE_BYTES: usize = N;

    #[inline]
    fn storage_bounds(&self) -> StackBounds {
        let bottom = ptr::from_ref(self).cast_mut().cast();
        // SAFETY: the address of a value; 64-byte aligned; N was checked.
        unsafe { StackBounds::new_unchecked(bottom, N, 0) }
    }
}

// SAFETY: `control` follows `frames`, as N is a multiple of its alignment.
unsafe impl<const N: usize> FiberStorage for FiberCell<N> {}

impl<const N: usize> fmt::Debug for FiberCell<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FiberCell")
            .field(&self.storage_bounds())
            .finish()
    }
}

/// A [`FiberCell`] that is page-aligned and has one page below the stack for a guard.
///
/// Other than that of a [`FiberCell`], its `N` counts the stack and the control block, but not the
/// guard. It is a multiple of [`PAGE_SIZE`] and at least two pages. Up to 1,152 bytes of it, or
/// 1,280 with the feature `smp`, are not available to the stack. The guard is ordinary memory until the kernel unmaps it with
/// [`guard::unmap`](crate::stack::guard::unmap).
#[repr(C, align(4096))]
pub struct GuardedFiberCell<const N: usize> {
    guard: UnsafeCell<[MaybeUninit<u8>; PAGE_SIZE]>,
    memory: UnsafeCell<[MaybeUninit<u8>; N]>,
}

// SAFETY: as for `FiberCell`.
unsafe impl<const N: usize> Sync for GuardedFiberCell<N> {}

/// The largest number of bytes that are not available to the stack.
const MAX_ABOVE: usize = 15 * TOP_ALIGN + size_of::<Control>();

impl<const N: usize> GuardedFiberCell<N> {
    const CHECK: () = {
        assert!(
            N.is_multiple_of(PAGE_SIZE),
            "GuardedFiberCell<N>: N must be a multiple of the page size, 4096 bytes"
        );
        assert!(
            N >= 2 * PAGE_SIZE,
            "GuardedFiberCell<N>: N is too small, a guarded cell needs at least 8192 bytes"
        );
    };

    /// Returns an unused cell. An `N` that is less than two pages or not a multiple of a page does
    /// not compile.
    #[must_use]
    pub const fn new() -> Self {
        Self::NEW
    }
}

impl<const N: usize> Default for GuardedFiberCell<N> {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: the range is the lower part of `memory`, which is private and used nowhere else. It
// begins with zero bytes.
unsafe impl<const N: usize> Storage for GuardedFiberCell<N> {
    const NEW: Self = {
        let () = Self::CHECK;
        Self {
            guard: UnsafeCell::new([MaybeUninit::zeroed(); PAGE_SIZE]),
            memory: UnsafeCell::new([MaybeUninit::zeroed(); N]),
        }
    };
    const SIZE_BYTES: usize = N - MAX_ABOVE;

    #[inline]
    fn storage_bounds(&self) -> StackBounds {
        let start: *mut u8 = ptr::from_ref(self).cast_mut().cast();
        let bottom = start.wrapping_add(PAGE_SIZE);
        let above = page_colour(bottom.addr()) * TOP_ALIGN + size_of::<Control>();
        // SAFETY: an address inside a value; all sizes are multiples of 64.
        unsafe { StackBounds::new_unchecked(bottom, N - above, PAGE_SIZE) }
    }
}

// SAFETY: above the top that `storage_bounds` gives are at least the bytes of a control block,
// aligned, and zero, which is what a new one is.
unsafe impl<const N: usize> FiberStorage for GuardedFiberCell<N> {}

impl<const N: usize> fmt::Debug for GuardedFiberCell<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GuardedFiberCell")
            .field(&self.storage_bounds())
            .finish()
    }
}

/// A pool of `COUNT` equal dense cells in one static.
pub type FiberPool<const N: usize, const COUNT: usize> = Pool<FiberCell<N>, COUNT>;

/// A pool of `COUNT` equal cells in one static, with room for guards.
pub type GuardedFiberPool<const N: usize, const COUNT: usize> = Pool<GuardedFiberCell<N>, COUNT>;
