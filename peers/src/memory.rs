//! Memory for stacks, mapped once, before anything is measured.

use core::ptr;
use std::fs;

/// Bytes of a stack. The least that `corosensei` allows.
pub(crate) const STACK_BYTES: usize = 4096;
/// From one stack to the next: an odd number of cache lines, so that their tops fall into different cache sets. All
/// contenders get the same, though it is what kfiber's own static stacks do.
const STRIDE_BYTES: usize = STACK_BYTES + 64;

/// The memory of one stack, 64-byte aligned at both ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stack {
    bottom: *mut u8,
}

impl Stack {
    /// The lowest byte.
    pub(crate) const fn bottom(self) -> *mut u8 {
        self.bottom
    }

    /// One past the highest byte.
    pub(crate) const fn top(self) -> *mut u8 {
        self.bottom.wrapping_add(STACK_BYTES)
    }
}

/// Maps as many stacks, for good.
pub(crate) fn stacks(count: usize) -> impl Iterator<Item = Stack> {
    let start = map(count * STRIDE_BYTES);
    (0..count).map(move |index| Stack {
        bottom: start.wrapping_add(index * STRIDE_BYTES),
    })
}

/// Maps one stack, for good.
pub(crate) fn stack() -> Stack {
    stacks(1).next().expect("there is one")
}

/// Bytes of a large page.
const LARGE_PAGE_BYTES: usize = 2 << 20;

/// Maps zeroed memory, page-aligned, for good. In small pages on every machine: huge ones would come or not as the system
/// pleases.
pub(crate) fn map(bytes: usize) -> *mut u8 {
    map_with(bytes, libc::MADV_NOHUGEPAGE)
}

/// Maps zeroed memory in pages of 2 MiB, as kernels map theirs, for good. The system must have [some](has_large_pages).
pub(crate) fn map_large(bytes: usize) -> *mut u8 {
    let bytes = bytes.next_multiple_of(LARGE_PAGE_BYTES);
    let start = map_with(bytes + LARGE_PAGE_BYTES, libc::MADV_HUGEPAGE);
    start.wrapping_add(start.align_offset(LARGE_PAGE_BYTES))
}

/// Returns whether the system gives large pages to those who ask for them.
pub(crate) fn has_large_pages() -> bool {
    let modes = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled");
    modes.is_ok_and(|modes| !modes.contains("[never]"))
}

fn map_with(bytes: usize, advice: i32) -> *mut u8 {
    let rights = libc::PROT_READ | libc::PROT_WRITE;
    let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a new mapping, of nothing that was there before.
    let start = unsafe { libc::mmap(ptr::null_mut(), bytes, rights, kind, -1, 0) };
    assert!(start != libc::MAP_FAILED, "no memory for {bytes} bytes");
    // SAFETY: the mapping that was just made; it is advice, and may fail.
    unsafe { libc::madvise(start, bytes, advice) };
    start.cast()
}
