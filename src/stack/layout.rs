//! Sizes and alignments that every stack keeps.

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
