//! What was used of a stack: the fill pattern, the high-water mark, and the canary at the bottom.

use super::{FLOOR_BYTES, StackBounds};

/// The fill pattern. Not a canonical address, not small, and recognisable in a memory dump.
const PAINT: u64 = 0xf1be_57ac_f1be_57ac;

/// The canary is this word xor its own address, so that neither a copy of another stack nor a constant matches it.
const CANARY: u64 = 0x00ca_9a21_e5fa_11ed;

/// The canary of a stack that was painted. On any other, zero stands for what was never used.
const CANARY_OF_PAINTED: u64 = !CANARY;

/// How much of a stack was ever used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StackUsage {
    /// Bytes from the lowest one ever written up to the top, control block included.
    pub used_bytes: usize,
    /// All bytes from bottom to top.
    pub size_bytes: usize,
}

impl StackUsage {
    /// Bytes that were never used.
    #[must_use]
    pub const fn free_bytes(&self) -> usize {
        self.size_bytes - self.used_bytes
    }
}

/// The canary's place: right above the owner word, where an overflow writes first of the two.
const fn canary(bounds: StackBounds) -> *mut u64 {
    bounds.bottom().wrapping_add(8).cast()
}

/// What the canary says of the stack: nothing if it is damaged, otherwise what an unused word looks like.
///
/// # Safety
///
/// **S1** holds for `bounds`, whose canary was planted.
unsafe fn unused_word(bounds: StackBounds) -> Option<u64> {
    // SAFETY: S1; the bottom is 16-byte aligned, so the second word is aligned for a u64. Volatile, because an overflow
    // that is looked for is a write that the compiler does not know of.
    let canary_word = unsafe { canary(bounds).read_volatile() };
    match canary_word ^ canary(bounds).addr() as u64 {
        CANARY => Some(0),
        CANARY_OF_PAINTED => Some(PAINT),
        _ => None,
    }
}

/// Writes the canary.
///
/// # Safety
///
/// **S1** holds for `bounds`.
unsafe fn write_canary(bounds: StackBounds, kind: u64) {
    // SAFETY: S1; aligned as in `unused_word`.
    unsafe { canary(bounds).write_volatile(kind ^ canary(bounds).addr() as u64) };
}

/// Gives memory that may hold anything a canary.
///
/// # Safety
///
/// **S1** holds for `bounds`.
pub(super) unsafe fn plant_first_canary(bounds: StackBounds) {
    // SAFETY: the caller's promise.
    unsafe { write_canary(bounds, CANARY) };
}

/// Makes sure that there is a canary. One of a stack that is taken again stays as it is, and so does its paint.
///
/// # Safety
///
/// **S1** holds for `bounds`, and its first words hold something, if only zero.
pub(super) unsafe fn plant_canary(bounds: StackBounds) {
    // SAFETY: S1.
    if unsafe { unused_word(bounds) }.is_none() {
        // SAFETY: S1.
        unsafe { write_canary(bounds, CANARY) };
    }
}

/// # Safety
///
/// **S1** holds for `bounds`, whose canary was planted.
pub(super) unsafe fn is_canary_intact(bounds: StackBounds) -> bool {
    // SAFETY: the caller's promise.
    unsafe { unused_word(bounds) }.is_some()
}

/// Paints everything above the floor and renews the canary.
///
/// # Safety
///
/// **S1** holds for `bounds`, and nothing on the stack is wanted any more.
pub(super) unsafe fn fill(bounds: StackBounds) {
    for word in words(bounds) {
        // SAFETY: `words` stays within the bounds (S1).
        unsafe { word.write(PAINT) };
    }
    // SAFETY: S1.
    unsafe { write_canary(bounds, CANARY_OF_PAINTED) };
}

/// # Safety
///
/// **S1** holds for `bounds`, whose canary was planted. A fiber may be suspended on the stack, or run on it.
pub(crate) unsafe fn measure(bounds: StackBounds) -> StackUsage {
    let size_bytes = bounds.size_bytes();
    // SAFETY: the caller's promise.
    let Some(unused) = (unsafe { unused_word(bounds) }) else {
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

/// The words above the floor, from the lowest up.
fn words(bounds: StackBounds) -> impl Iterator<Item = *mut u64> {
    let first: *mut u64 = bounds.bottom().wrapping_add(FLOOR_BYTES).cast();
    (0..(bounds.size_bytes() - FLOOR_BYTES) / size_of::<u64>())
        .map(move |index| first.wrapping_add(index))
}

/// Reads a word as the machine has it, even one whose bytes the compiler takes for uninitialised, as in the padding of
/// a value that a frame wrote there.
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
