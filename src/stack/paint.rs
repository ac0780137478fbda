//! The measured use of a stack: the fill pattern, the high-water mark, and the canary at the
//! bottom.

use super::bounds::StackBounds;
use super::layout::{FLOOR_BYTES, STACK_ALIGN};

/// The fill pattern. It is not a canonical address, is not small, and is easy to recognise in a
/// memory dump.
const PAINT: u64 = 0xf1be_57ac_f1be_57ac;

/// The upper half of each canary, which an overflow reaches first. None of its bytes is a value
/// that often fills memory.
pub(crate) const CANARY: u32 = 0x5aca_9a21;

/// The lower half of a canary is one of these words xor the lower half of the address of the stack's
/// bottom. The canary of a copied stack therefore does not match. Which word it is says how the
/// unused words of the stack look.
const UNPAINTED: u32 = 0xe5fa_11ed;
const PAINTED: u32 = 0x7a1e_57ac;

const _: () = assert!(
    !((UNPAINTED ^ PAINTED) as usize).is_multiple_of(STACK_ALIGN),
    "the canary of a stack elsewhere is never taken for one of the other kind"
);

/// The distance of the canary from the bottom. It lies directly above the owner word, so an
/// overflow writes to it first.
pub(crate) const CANARY_AT: usize = 8;

/// The distance of the upper half of the canary from the bottom.
pub(crate) const CANARY_TOP_AT: usize = CANARY_AT + 4;

/// The measured use of a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StackUsage {
    /// The number of bytes from the lowest one ever written up to the top, including the control
    /// block.
    pub used_bytes: usize,
    /// The number of bytes from bottom to top.
    pub size_bytes: usize,
}

impl StackUsage {
    /// Returns the number of bytes that were never used.
    #[must_use]
    pub const fn free_bytes(&self) -> usize {
        self.size_bytes - self.used_bytes
    }
}

/// Returns the address at which a write is an overflow.
pub(crate) fn canary_address(bounds: StackBounds) -> usize {
    canary(bounds.bottom()).addr()
}

/// Returns the address of the canary of a stack with this bottom.
const fn canary(bottom: *mut u8) -> *mut u64 {
    bottom.wrapping_add(CANARY_AT).cast()
}

/// Returns the value of the canary of a stack of this kind, with this bottom, when it is intact.
#[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
fn intact_canary(bottom: *mut u8, kind: u32) -> u64 {
    let low = bottom.addr() as u32;
    u64::from(CANARY) << 32 | u64::from(low ^ kind)
}

/// Returns the value of an unused word of the stack, or `None` if the canary is damaged.
///
/// # Safety
///
/// **S1** holds for a stack with this bottom, whose canary was planted.
unsafe fn unused_word(bottom: *mut u8) -> Option<u64> {
    // SAFETY: S1; the bottom is 16-byte aligned, so the second word is aligned for a u64. Volatile, because an overflow
    // that is looked for is a write that the compiler does not know of.
    let canary = unsafe { canary(bottom).read_volatile() };
    if canary == intact_canary(bottom, UNPAINTED) {
        Some(0)
    } else if canary == intact_canary(bottom, PAINTED) {
        Some(PAINT)
    } else {
        None
    }
}

/// Writes the canary of a stack of this kind.
///
/// # Safety
///
/// **S1** holds for a stack with this bottom.
unsafe fn write_canary(bottom: *mut u8, kind: u32) {
    // SAFETY: S1; aligned as in `unused_word`.
    unsafe { canary(bottom).write_volatile(intact_canary(bottom, kind)) };
}

/// Writes the canary into memory that may hold anything.
///
/// # Safety
///
/// **S1** holds for `bounds`.
pub(crate) unsafe fn plant_first_canary(bounds: StackBounds) {
    // SAFETY: the caller's promise.
    unsafe { write_canary(bounds.bottom(), UNPAINTED) };
}

/// Writes the canary if it is not intact. A stack that is taken again keeps its canary and its
/// paint.
///
/// # Safety
///
/// **S1** holds for `bounds`, and its first words are initialised, for instance to zero.
#[inline(always)]
pub(super) unsafe fn plant_canary(bounds: StackBounds) {
    let bottom = bounds.bottom();
    // Not volatile, so that one instruction reads and compares: nobody uses the stack at this moment.
    // SAFETY: S1; aligned as in `unused_word`.
    if unsafe { canary(bottom).read() } != intact_canary(bottom, UNPAINTED) {
        // SAFETY: S1.
        unsafe { plant_unless_painted(bottom) };
    }
}

/// Writes the canary if it is not that of a painted stack. Only the bottom is passed, which takes less
/// code than bounds.
///
/// # Safety
///
/// The requirements are those of [`plant_canary`], for a stack with this bottom.
#[cold]
#[inline(never)]
unsafe fn plant_unless_painted(bottom: *mut u8) {
    // SAFETY: S1; aligned as in `unused_word`.
    if unsafe { canary(bottom).read() } != intact_canary(bottom, PAINTED) {
        // SAFETY: S1.
        unsafe { write_canary(bottom, UNPAINTED) };
    }
}

/// Returns `true` if the canary is intact.
///
/// # Safety
///
/// **S1** holds for `bounds`, whose canary was planted.
pub(crate) unsafe fn is_canary_intact(bounds: StackBounds) -> bool {
    // SAFETY: the caller's promise.
    unsafe { unused_word(bounds.bottom()) }.is_some()
}

/// Returns `true` if the upper half of the canary is intact. That half is the same for every stack,
/// so the check takes two instructions.
///
/// # Safety
///
/// The requirements are those of [`is_canary_intact`].
#[inline(always)]
pub(crate) unsafe fn is_canary_top_intact(bounds: StackBounds) -> bool {
    let top: *const u32 = bounds.bottom().wrapping_add(CANARY_TOP_AT).cast();
    // SAFETY: as in `is_canary_intact`.
    unsafe { top.read_volatile() == CANARY }
}

/// Paints everything above the floor and renews the canary.
///
/// # Safety
///
/// **S1** holds for `bounds`, and the contents of the stack are no longer needed.
pub(super) unsafe fn fill(bounds: StackBounds) {
    for word in words(bounds) {
        // SAFETY: `words` stays within the bounds (S1).
        unsafe { word.write(PAINT) };
    }
    // SAFETY: S1.
    unsafe { write_canary(bounds.bottom(), PAINTED) };
}

/// Measures how much of the stack was ever used.
///
/// # Safety
///
/// **S1** holds for `bounds`, whose canary was planted. A fiber may be suspended on the stack, or
/// run on it.
pub(crate) unsafe fn measure(bounds: StackBounds) -> StackUsage {
    let size_bytes = bounds.size_bytes();
    // SAFETY: the caller's promise.
    let Some(unused) = (unsafe { unused_word(bounds.bottom()) }) else {
        // Something wrote past the end: all was used.
        return StackUsage {
            used_bytes: size_bytes,
            size_bytes,
        };
    };
    // SAFETY: `words` stays within the bounds (S1).
    let lowest = words(bounds).find(|&word| unsafe { read_word(word) } != unused);
    let used_bytes = lowest.map_or(0, |word| bounds.top().addr() - word.addr());
    StackUsage {
        used_bytes,
        size_bytes,
    }
}

/// Returns the words above the floor, from the lowest to the highest.
fn words(bounds: StackBounds) -> impl Iterator<Item = *mut u64> {
    let first: *mut u64 = bounds.bottom().wrapping_add(FLOOR_BYTES).cast();
    (0..(bounds.size_bytes() - FLOOR_BYTES) / size_of::<u64>())
        .map(move |index| first.wrapping_add(index))
}

/// Reads a word as the machine holds it, even if the compiler considers its bytes uninitialised.
/// The padding of a value that a frame wrote there is an example.
///
/// # Safety
///
/// `word` is valid for reads and aligned.
unsafe fn read_word(word: *const u64) -> u64 {
    #[cfg(not(miri))]
    {
        let value;
        // SAFETY: the caller vouches for `word`; the instruction reads it and does nothing else.
        unsafe {
            core::arch::asm!("mov {}, [{}]", out(reg) value, in(reg) word, options(nostack, readonly, preserves_flags));
        }
        value
    }
    #[cfg(miri)]
    {
        // SAFETY: the caller vouches for `word`. Under Miri no frames lie on it, only what `Fiber::new` moved there.
        unsafe { word.read_volatile() }
    }
}
