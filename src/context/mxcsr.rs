//! Which way of loading MXCSR is the faster one on this processor.
//!
//! `control_words` describes the two ways. The choice is a matter of speed only: a context that was
//! never told has the way that is fast on most processors, and never very slow.

use core::arch::x86_64::{__cpuid, CpuidResult};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Compare first. A switch takes this way if the stack pointer is not below this word.
pub(super) const COMPARE: usize = 0;
/// Load without a comparison, as every stack pointer is below this word.
pub(super) const ALWAYS_LOAD: usize = usize::MAX;
/// The processor was not asked yet. For a switch it means the same as [`COMPARE`].
const UNKNOWN: usize = 1;

/// The way for this processor. It has a cache line of its own, so that no core has to fetch it again
/// because something beside it has changed.
#[repr(align(64))]
struct Way(AtomicUsize);

static WAY: Way = Way(AtomicUsize::new(UNKNOWN));

/// Returns the word that makes a switch take the faster way.
///
/// The first call asks the processor, by the CPUID instruction. All cores of a machine are of one
/// vendor, so it does not matter which core asks. Where no switch reads the word, nobody is asked.
#[inline(always)]
pub(super) fn way() -> usize {
    if cfg!(any(miri, kfiber_threads)) {
        return COMPARE;
    }
    match WAY.0.load(Relaxed) {
        UNKNOWN => ask(),
        way => way,
    }
}

#[cold]
#[inline(never)]
fn ask() -> usize {
    // It is an unsafe function until Rust 1.94, and a safe one from then on.
    let cpuid: unsafe fn(u32) -> CpuidResult = __cpuid;
    // SAFETY: every x86_64 processor has the instruction.
    let leaf = unsafe { cpuid(0) };
    let vendor = [leaf.ebx, leaf.edx, leaf.ecx].map(u32::to_le_bytes);
    let way = match vendor.as_flattened() {
        b"AuthenticAMD" | b"HygonGenuine" => ALWAYS_LOAD,
        _ => COMPARE,
    };
    WAY.0.store(way, Relaxed);
    way
}
