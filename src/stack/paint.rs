//! What was used of a stack: the fill pattern, the high-water mark, and the canary at the bottom.

use super::{FLOOR_BYTES, StackBounds};

/// The fill pattern. Not a canonical address, not small, and recognisable in a memory dump.
const PAINT: u64 = 0xf1be_57ac_f1be_57ac;

/// The canary is this word xor its own address, so that neither a copy of another stack nor a constant matches it.
const CANARY: u64 = 0x00ca_9a21_e5fa_11ed;

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

/// The value that belongs there.
fn expected(bounds: StackBounds) -> u64 {
    CANARY ^ canary(bounds).addr() as u64
}

/// Writes the canary.
///
/// # Safety
///
/// **S1** holds for `bounds`.
pub(super) unsafe fn plant_canary(bounds: StackBounds) {
    // SAFETY: S1; the bottom is 16-byte aligned, so the second word is aligned for a u64.
    unsafe { canary(bounds).write_volatile(expected(bounds)) };
}

/// # Safety
///
/// **S1** holds for `bounds`.
pub(super) unsafe fn is_canary_intact(bounds: StackBounds) -> bool {
    // SAFETY: S1; aligned as in `plant_canary`, and written when the memory was taken. Volatile, because an overflow
    // that is looked for is a write that the compiler does not know of.
    unsafe { canary(bounds).read_volatile() == expected(bounds) }
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
    unsafe { plant_canary(bounds) };
}

/// # Safety
///
/// **S1** holds for `bounds`. A fiber may be suspended on the stack, or run on it.
pub(crate) unsafe fn measure(bounds: StackBounds) -> StackUsage {
    let size_bytes = bounds.size_bytes();
    // SAFETY: S1.
    if !unsafe { is_canary_intact(bounds) } {
        return StackUsage {
            used_bytes: size_bytes,
            size_bytes,
        };
    }
    // SAFETY: `words` stays within the bounds (S1).
    let read = |word| unsafe { read_word(word) };
    let mut words = words(bounds).peekable();
    // A static that was never painted is zero where nothing was written.
    let unused = if words.peek().is_some_and(|&word| read(word) == PAINT) {
        PAINT
    } else {
        0
    };
    let lowest = words.find(|&word| read(word) != unused);
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
