//! The guards of all stacks of a kernel in one call.

use super::{GuardError, unmap};
use crate::stack::{Pool, StackBounds, Storage};
use x86_64::VirtAddr;
use x86_64::structures::paging::{FrameAllocator, PageTable, Size4KiB};

/// Something that contains stacks with guards: a single one, a cell of a fiber, a pool, an array of
/// these, or the [`StackBounds`] of memory that the kernel mapped itself.
pub trait Guarded {
    /// Calls `visit` with the bounds of each stack.
    fn for_each_stack(&self, visit: &mut dyn FnMut(StackBounds));
}

impl<T: Storage> Guarded for T {
    fn for_each_stack(&self, visit: &mut dyn FnMut(StackBounds)) {
        visit(self.storage_bounds());
    }
}

impl<T: Storage, const COUNT: usize> Guarded for Pool<T, COUNT> {
    fn for_each_stack(&self, visit: &mut dyn FnMut(StackBounds)) {
        self.stacks().for_each_stack(visit);
    }
}

impl Guarded for StackBounds {
    fn for_each_stack(&self, visit: &mut dyn FnMut(StackBounds)) {
        visit(*self);
    }
}

impl<T: Guarded, const COUNT: usize> Guarded for [T; COUNT] {
    fn for_each_stack(&self, visit: &mut dyn FnMut(StackBounds)) {
        for one in self {
            one.for_each_stack(visit);
        }
    }
}

/// Unmaps the guards of many stacks as [`unmap`] does, and returns their number.
///
/// A kernel lists its statics, because memory that is all zeros does not tell where a stack begins.
///
/// ```no_run
/// use kfiber::scheduler::{GuardedFiberCell, GuardedFiberPool};
/// use kfiber::stack::guard::{self, GuardError};
/// use kfiber::x86_64::VirtAddr;
/// use kfiber::x86_64::structures::paging::{FrameAllocator, PageTable, Size4KiB};
///
/// static SHELL: GuardedFiberCell<{ 32 * 1024 }> = GuardedFiberCell::new();
/// static WORKERS: GuardedFiberPool<{ 16 * 1024 }, 8> = GuardedFiberPool::new();
///
/// fn at_boot(level_4: &mut PageTable, frames: &mut impl FrameAllocator<Size4KiB>) {
///     let physical_memory_at = VirtAddr::new(0); // identity-mapped here
///     // SAFETY: these are the tables in use, all of them lie in the mapped physical memory, and only this core runs.
///     let count = unsafe { guard::unmap_all(&[&SHELL, &WORKERS], level_4, physical_memory_at, frames) };
///     assert_eq!(count, Ok(9));
/// }
/// ```
///
/// # Errors
///
/// Returns the [`GuardError`] of the first stack whose guard could not be unmapped. Those before it
/// have their guards, and the others do not.
///
/// # Safety
///
/// The requirements of [`unmap`] apply.
///
/// # Context
///
/// Callable from: boot code, fiber, scheduler. Blocks: nothing.
pub unsafe fn unmap_all(
    stacks: &[&dyn Guarded],
    level_4: &mut PageTable,
    physical_memory_at: VirtAddr,
    frames: &mut impl FrameAllocator<Size4KiB>,
) -> Result<usize, GuardError> {
    let mut result = Ok(0);
    for some in stacks {
        some.for_each_stack(&mut |bounds| {
            let Ok(count) = result else { return };
            // SAFETY: the caller's promise.
            let unmapped = unsafe { unmap(bounds, level_4, physical_memory_at, frames) };
            result = unmapped.map(|()| count + 1);
        });
    }
    result
}
