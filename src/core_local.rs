//! The words of a core on the bare machine, where a scheduler has several: each core finds its own
//! through its GS base.
//!
//! ```text
//!   GS base ──► ┌────────────────────────┐
//!               │ what the kernel keeps  │    absent if the kernel has no area of its own
//!               ├────────────────────────┤ ◄─ GS base + __kfiber_core_at
//!               │ CoreLocal              │    the first word is its own address
//!               └────────────────────────┘
//! ```
//!
//! The symbol `__kfiber_core_at` is the offset. It is 0 if nobody defines it. A read of a word is
//! one instruction, `mov rax, gs:[__kfiber_core_at + 8]`, as it is one for a static.

use crate::platform::Core;
use core::cell::UnsafeCell;
use core::mem::offset_of;
use core::ptr;
use x86_64::VirtAddr;
use x86_64::registers::model_specific::GsBase;

/// The words of one core. A kernel with the feature `smp` has one for each core, in a static.
///
/// A kernel that does not use GS lets kfiber have it, and calls [`install`](Self::install) on each
/// core:
///
/// ```ignore
/// static CORES: [CoreLocal; 4] = [const { CoreLocal::new() }; 4];
///
/// unsafe { CORES[number].install(Core(number)) };
/// SCHEDULER.run();
/// ```
///
/// A kernel that has an area for each core in GS puts a `CoreLocal` into it, at the same offset for
/// all cores. It tells the linker the offset, with `--defsym=__kfiber_core_at=64` or a line
/// `__kfiber_core_at = 64;` in its linker script, and calls [`embed`](Self::embed) instead. With GNU
/// ld the symbol works in kernels that are linked statically; a position-independent one needs
/// rust-lld, or offset 0 and no symbol.
///
/// Nothing of this crate may run on a core before that, except [`CoreLocal`] itself,
/// [`fiber_panicked`](crate::scheduler::fiber_panicked) and
/// [`exceptions::handle`](crate::exceptions::handle), which say then that no fiber runs. The first use
/// of a scheduler, and each `run`, panic if the words are not there. In builds with debug assertions so
/// do spawning and waking on any core. A lock does not look, and reads whatever is there, or faults. A
/// handler of interrupts from user mode does `swapgs` before it calls anything of this crate, as it does
/// for the kernel's own use of GS.
#[repr(C, align(64))]
pub struct CoreLocal {
    /// The address of this value.
    this: UnsafeCell<*const Self>,
    /// What the scheduler knows of the core, and at last the core's number.
    words: UnsafeCell<[*const (); 4]>,
    /// The ring of the flight recorder.
    #[cfg(feature = "trace")]
    ring: UnsafeCell<*const crate::trace::ring::Ring>,
}

#[cfg(feature = "trace")]
const _: () = assert!(offset_of!(CoreLocal, ring) == crate::trace::here::RING_AT);

// SAFETY: only the core that it belongs to uses the words.
unsafe impl Sync for CoreLocal {}
// SAFETY: as above.
unsafe impl Send for CoreLocal {}

/// What the word of the running fiber is while none runs: see
/// [`current`](crate::scheduler::cpu::current).
const NOBODY: *const () = ptr::without_provenance(1);

/// The words by their offsets, the first of which is that of the running fiber.
pub(crate) const FIBER_AT: usize = offset_of!(CoreLocal, words);
pub(crate) const RUN_LOOP_AT: usize = FIBER_AT + 8;
pub(crate) const PLACE_AT: usize = FIBER_AT + 16;
const NUMBER_AT: usize = FIBER_AT + 24;

impl CoreLocal {
    /// Returns the words of a core that runs no fiber.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            this: UnsafeCell::new(ptr::null()),
            words: UnsafeCell::new([NOBODY, ptr::null(), ptr::null(), ptr::null()]),
            #[cfg(feature = "trace")]
            ring: UnsafeCell::new(crate::trace::here::NOWHERE.head()),
        }
    }

    /// Makes these the words of the core that calls it, and gives kfiber its GS base. The core gets
    /// this number, which [`hardware::ApicCores`](crate::hardware::ApicCores) reads again.
    ///
    /// # Safety
    ///
    /// The core runs no fiber. From here on nobody else changes its GS base, and no other core uses
    /// the same words.
    ///
    /// # Context
    ///
    /// Callable from: boot code of each core, once. Blocks: nothing.
    pub unsafe fn install(&'static self, number: Core) {
        let base = ptr::from_ref(self).addr().wrapping_sub(offset()) as u64;
        GsBase::write(VirtAddr::new_truncate(base));
        // SAFETY: the caller's promise.
        unsafe { self.embed(number) };
    }

    /// Makes these the words of the core whose GS base lies `__kfiber_core_at` bytes below them. The
    /// core gets this number, as by [`install`](Self::install).
    ///
    /// # Panics
    ///
    /// Panics if the words are not there: the kernel has not set its GS base yet, or the offset is
    /// not that of the field.
    ///
    /// # Safety
    ///
    /// The core runs no fiber. While it uses this crate its GS base does not change, and no other
    /// core uses the same words.
    ///
    /// # Context
    ///
    /// Callable from: boot code of each core, once. Blocks: nothing.
    pub unsafe fn embed(&'static self, number: Core) {
        let base = usize::try_from(GsBase::read().as_u64()).unwrap_or(0);
        assert!(
            base.wrapping_add(offset()) == ptr::from_ref(self).addr(),
            "the words of this core are not at `__kfiber_core_at` from its GS base: set the GS base first, and define the symbol as \
             the offset of the `CoreLocal` in what it points to"
        );
        // SAFETY: the caller's promise: only this core uses them.
        unsafe { self.this.get().write(self) };
        write::<NUMBER_AT>(ptr::without_provenance(number.0));
    }
}

impl Default for CoreLocal {
    fn default() -> Self {
        Self::new()
    }
}

impl core::fmt::Debug for CoreLocal {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("CoreLocal").finish_non_exhaustive()
    }
}

/// Panics unless the words of this core are where its GS base says.
///
/// It reads a register of the processor, so it is called where a scheduler is used first, in `run`, and
/// in builds with debug assertions where something is spawned or woken.
#[track_caller]
pub(crate) fn check() {
    assert!(
        are_there(),
        "this core has no words of kfiber: with the feature `smp`, call `CoreLocal::install` (or `embed`) on each core, before \
         anything else of kfiber; a handler that came from user mode does `swapgs` first"
    );
}

/// Returns the number of this core, whose words are there.
#[inline]
pub(crate) fn number() -> Core {
    Core(read::<NUMBER_AT>().addr())
}

/// Returns whether the words of this core are where its GS base says. If the GS base points to where no
/// memory is, it must be 0.
pub(crate) fn are_there() -> bool {
    let base = usize::try_from(GsBase::read().as_u64()).unwrap_or(0);
    base != 0 && is_there(base)
}

fn is_there(base: usize) -> bool {
    let at = base.wrapping_add(offset());
    read::<0>().addr() == at
}

/// Returns the offset of the words from the GS base.
fn offset() -> usize {
    let offset;
    // SAFETY: it reads no memory: the instruction computes the offset alone.
    unsafe {
        core::arch::asm!(
            ".weak __kfiber_core_at",
            "lea {}, gs:[__kfiber_core_at]",
            out(reg) offset,
            options(nomem, nostack, preserves_flags)
        );
    }
    offset
}

/// Reads a word of this core.
#[inline(always)]
pub(crate) fn read<const AT: usize>() -> *const () {
    let word;
    // SAFETY: `run` has checked that the words are there.
    unsafe {
        core::arch::asm!(
            ".weak __kfiber_core_at",
            "mov {}, gs:[__kfiber_core_at + {at}]",
            out(reg) word,
            at = const AT,
            options(readonly, nostack, preserves_flags)
        );
    }
    word
}

/// Writes a word of this core.
#[inline(always)]
pub(crate) fn write<const AT: usize>(word: *const ()) {
    // SAFETY: as above, and nobody but this core uses them.
    unsafe {
        core::arch::asm!(
            ".weak __kfiber_core_at",
            "mov gs:[__kfiber_core_at + {at}], {}",
            in(reg) word,
            at = const AT,
            options(nostack, preserves_flags)
        );
    }
}
