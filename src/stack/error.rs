//! The errors of a range of memory that is to become a stack, and the check that finds them.

use super::layout::{MIN_SIZE_BYTES, STACK_ALIGN, TOP_ALIGN};
use core::fmt;

/// The reason why a range of memory cannot be a stack.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StackError {
    /// The address is null.
    Null,
    /// The size, in bytes, is below [`MIN_SIZE_BYTES`].
    TooSmall {
        /// The requested size.
        size_bytes: usize,
    },
    /// The bottom is not aligned to [`STACK_ALIGN`].
    BottomMisaligned {
        /// The address that was given.
        bottom: usize,
    },
    /// The top, `bottom + size_bytes`, is not aligned to [`TOP_ALIGN`].
    TopMisaligned {
        /// The resulting address.
        top: usize,
    },
    /// The range, or the guard below it, wraps around the end of the address space.
    Wraps,
    /// The range contains addresses that are not canonical: bits 48 to 63 of an address must equal
    /// bit 47.
    NonCanonical,
    /// Two stacks share memory.
    Overlap {
        /// The index of the first stack.
        first: usize,
        /// The index of the second stack.
        second: usize,
    },
}

debug_is_display!(StackError);

impl fmt::Display for StackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Null => write!(
                f,
                "stack address is null: pass the lowest byte of mapped memory"
            ),
            Self::TooSmall { size_bytes } => {
                write!(
                    f,
                    "stack of {size_bytes} bytes is too small: at least {MIN_SIZE_BYTES} are needed"
                )
            }
            Self::BottomMisaligned { bottom } => {
                write!(
                    f,
                    "stack bottom {bottom:#x} is misaligned: make it a multiple of {STACK_ALIGN}"
                )
            }
            Self::TopMisaligned { top } => {
                write!(
                    f,
                    "stack top {top:#x} is misaligned: make it a multiple of {TOP_ALIGN}"
                )
            }
            Self::Wraps => write!(f, "stack range wraps around the end of the address space"),
            Self::NonCanonical => {
                write!(
                    f,
                    "stack range is not canonical: bits 48 to 63 of its addresses must equal bit 47"
                )
            }
            Self::Overlap { first, second } => {
                write!(
                    f,
                    "stacks {first} and {second} overlap: each needs memory and a guard of its own"
                )
            }
        }
    }
}

impl core::error::Error for StackError {}

/// Checks a range by its numbers alone, without reading the memory.
pub(super) fn check(
    bottom: usize,
    size_bytes: usize,
    guard_bytes: usize,
) -> Result<(), StackError> {
    if bottom == 0 {
        return Err(StackError::Null);
    }
    if size_bytes < MIN_SIZE_BYTES {
        return Err(StackError::TooSmall { size_bytes });
    }
    if !bottom.is_multiple_of(STACK_ALIGN) {
        return Err(StackError::BottomMisaligned { bottom });
    }
    let lowest = bottom.checked_sub(guard_bytes).ok_or(StackError::Wraps)?;
    let top = bottom.checked_add(size_bytes).ok_or(StackError::Wraps)?;
    if !top.is_multiple_of(TOP_ALIGN) {
        return Err(StackError::TopMisaligned { top });
    }
    // The two halves of the address space are one run of addresses each, so it is enough to look at both ends.
    if !is_canonical(lowest) || !is_canonical(top - 1) || (lowest ^ (top - 1)) >> 63 != 0 {
        return Err(StackError::NonCanonical);
    }
    Ok(())
}

/// Returns `true` if bits 47 to 63 are all equal (Intel SDM, volume 1, 3.3.7.1).
///
/// With five-level paging more addresses are canonical. A kernel that uses those must implement its
/// own [`StackMemory`](super::StackMemory).
const fn is_canonical(address: usize) -> bool {
    let high = address >> 47;
    high == 0 || high == usize::MAX >> 47
}
