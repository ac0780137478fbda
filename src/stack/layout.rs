//! Sizes and alignments that apply to every stack.

/// The alignment of a stack's top, and of the control block below it: one cache line.
pub const TOP_ALIGN: usize = 64;

/// The alignment of a stack pointer at a call, and of a stack's bottom (x86-64 psABI, 3.2.2).
pub const STACK_ALIGN: usize = 16;

/// The size of a page and of a guard, and the alignment of guarded stacks.
pub const PAGE_SIZE: usize = 4096;

/// The smallest stack that the API accepts, in bytes.
///
/// In a release build this size is enough for a small closure that waits in every possible way,
/// plus one interrupt at the point where the stack is deepest, if the handler does little more than
/// wake a fiber. The tests that run under a storm of interrupts measure about 660 bytes, of which
/// the handler's entry takes 180 to save registers. In a debug build the same closure and interrupt
/// take about 6,200 bytes, so use 7,168 or more. If a handler does more work on the stack that it
/// interrupts, add its share to the size of every stack.
pub const MIN_SIZE_BYTES: usize = 1024;

/// The number of bytes at the bottom of each stack that frames cannot use: the canary and the owner
/// word.
pub const FLOOR_BYTES: usize = 16;
