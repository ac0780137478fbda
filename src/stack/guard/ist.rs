//! The check that the handlers which detect overflows have stacks of their own.
//!
//! A page fault at a guard happens when the stack is used up, so the processor cannot push the
//! exception's frame there. Without an entry of the interrupt stack table (IST) in the gate of
//! `#PF` the page fault becomes a double fault. Without one in the gate of `#DF` the double fault
//! becomes a triple fault, and the machine resets without any message. An IST entry is therefore
//! required, and this module checks that it exists.

use core::fmt;
use x86_64::instructions::tables::sidt;
use x86_64::structures::DescriptorTablePointer;

/// The exceptions by which overflows are detected: `#DF` and `#PF`. Watchpoints use `#DB` (vector
/// 1) in addition.
pub const EXCEPTIONS: [u8; 2] = [8, 14];

/// The error returned when an exception has no handler, or its handler has no stack of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoExceptionStack {
    /// The vector has no handler at all.
    NoHandler {
        /// The vector number.
        vector: u8,
    },
    /// The handler would run on the stack that has just overflowed.
    SameStack {
        /// The vector number.
        vector: u8,
    },
}

debug_is_display!(NoExceptionStack);

impl fmt::Display for NoExceptionStack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NoHandler { vector } => {
                write!(
                    f,
                    "vector {vector} has no handler: load an IDT that has one"
                )
            }
            Self::SameStack { vector } => write!(
                f,
                "the handler of vector {vector} runs on the stack that overflows: give its gate an IST index \
                 (`set_stack_index`), and the TSS a stack there"
            ),
        }
    }
}

impl core::error::Error for NoExceptionStack {}

/// Checks that each of these vectors, usually [`EXCEPTIONS`], has a handler that runs on a stack of
/// its own.
///
/// This examines the interrupt descriptor table of the current core. It does not examine the
/// stacks, whose addresses are in the task state segment.
///
/// # Errors
///
/// Returns a [`NoExceptionStack`] that names the first vector whose handler or stack is missing.
///
/// # Safety
///
/// The table that the core has loaded is mapped, and nobody changes it during the call.
///
/// # Context
///
/// Callable from: boot code, fiber, scheduler. Blocks: nothing.
pub unsafe fn check_exception_stacks(vectors: &[u8]) -> Result<(), NoExceptionStack> {
    let table = sidt();
    // SAFETY: the caller's promise.
    unsafe { check(&table, vectors) }
}

/// Checks the gates of these vectors in a table.
///
/// # Safety
///
/// The table is mapped, and nobody changes it during the call.
unsafe fn check(table: &DescriptorTablePointer, vectors: &[u8]) -> Result<(), NoExceptionStack> {
    for &vector in vectors {
        let offset = usize::from(vector) * GATE_BYTES;
        if offset + GATE_BYTES > usize::from(table.limit) + 1 {
            return Err(NoExceptionStack::NoHandler { vector });
        }
        let gate: *const u64 = table.base.as_ptr();
        // SAFETY: the caller's promise, and the limit was looked at.
        let gate = unsafe { gate.byte_add(offset) };
        // SAFETY: as above.
        let low = unsafe { gate.read_unaligned() };
        if low & PRESENT == 0 {
            return Err(NoExceptionStack::NoHandler { vector });
        }
        if low & IST == 0 {
            return Err(NoExceptionStack::SameStack { vector });
        }
    }
    Ok(())
}

/// The size of a gate of the table (Intel SDM, volume 3, 6.14.1). The constants below are fields of
/// its first half.
const GATE_BYTES: usize = 16;
const PRESENT: u64 = 1 << 47;
const IST: u64 = 0b111 << 32;
