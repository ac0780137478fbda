//! The floating-point registers of user code, for kernels whose own code has none.

use super::SwitchState;
use core::arch::asm;
use core::arch::x86_64::{__cpuid, __cpuid_count};
use core::cell::UnsafeCell;
use core::fmt;

/// Where MXCSR and the x87 control word are in an area, and their values after a reset (Intel SDM,
/// volume 1, table 10-2 and 11.6.4; volume 1, 8.1.5).
const MXCSR_AT: usize = 24;
const INITIAL_MXCSR: [u8; 2] = 0x1f80_u16.to_le_bytes();
const INITIAL_X87_CONTROL: [u8; 2] = 0x037f_u16.to_le_bytes();

const fn initial<const BYTES: usize>() -> [u8; BYTES] {
    let mut area = [0; BYTES];
    [area[0], area[1]] = INITIAL_X87_CONTROL;
    [area[MXCSR_AT], area[MXCSR_AT + 1]] = INITIAL_MXCSR;
    area
}

/// The x87, MMX and SSE registers of a fiber's user code, in the format of `fxsave`. Every `x86_64`
/// processor has it. It does not keep the upper halves of the AVX registers: see [`XsaveArea`].
#[repr(C, align(16))]
pub struct FxsaveArea(UnsafeCell<[u8; 512]>);

// SAFETY: only `save` and `load` access it, whose callers promise that nobody else does meanwhile.
unsafe impl Sync for FxsaveArea {}

impl FxsaveArea {
    /// Returns the registers as they are after a reset, with all exceptions masked.
    ///
    /// # Safety
    ///
    /// One core at a time saves and loads this, so a [`PerFiber`](super::PerFiber) that contains it is
    /// the hook of one core. The registers are enabled then: CR4.OSFXSR is set, and CR0.EM and
    /// CR0.TS are clear. No compiled code of the kernel uses them.
    #[must_use]
    pub const unsafe fn new() -> Self {
        Self(UnsafeCell::new(initial()))
    }
}

impl SwitchState for FxsaveArea {
    unsafe fn save(&self) {
        // SAFETY: the area has the size and the alignment, and is nobody else's: the promise of the
        // callers of this function and of `new`.
        unsafe { asm!("fxsave64 [{}]", in(reg) self.0.get(), options(nostack, preserves_flags)) };
    }

    unsafe fn load(&self) {
        // SAFETY: as above; it holds what `fxsave64` or `initial` wrote. No compiled code has its
        // values in these registers: `FxsaveArea` is for kernels without.
        unsafe { asm!("fxrstor64 [{}]", in(reg) self.0.get(), options(nostack, preserves_flags)) };
    }
}

impl fmt::Debug for FxsaveArea {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FxsaveArea").finish_non_exhaustive()
    }
}

/// All registers that XCR0 enables, of a fiber's user code, in the standard format of `xsave`.
///
/// How large the area must be depends on the processor and on XCR0: 832 bytes with AVX, up to 2,696
/// with AVX-512. [`check`](Self::check) says whether `BYTES` suffice.
#[repr(C, align(64))]
pub struct XsaveArea<const BYTES: usize>(UnsafeCell<[u8; BYTES]>);

// SAFETY: only `save` and `load` access it, whose callers promise that nobody else does meanwhile.
unsafe impl<const BYTES: usize> Sync for XsaveArea<BYTES> {}

/// The error returned when an [`XsaveArea`] cannot be used on this processor.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum XsaveUnusable {
    /// The processor has no `xsave`, or CR4.OSXSAVE is clear.
    NotEnabled,
    /// The area is too small.
    TooSmall {
        /// The number of bytes that are needed for what XCR0 enables.
        needed: usize,
    },
}

debug_is_display!(XsaveUnusable);

impl fmt::Display for XsaveUnusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotEnabled => f.write_str(
                "`xsave` is not enabled: set CR4.OSXSAVE and XCR0, or use `FxsaveArea` on a processor without it",
            ),
            Self::TooSmall { needed } => write!(
                f,
                "the area is too small for what XCR0 enables: use `XsaveArea<{needed}>`"
            ),
        }
    }
}

impl core::error::Error for XsaveUnusable {}

impl<const BYTES: usize> XsaveArea<BYTES> {
    /// The legacy region and the header, which every area has (Intel SDM, volume 1, 13.4).
    const LEAST: () = assert!(BYTES >= 576, "an area has at least 576 bytes");

    /// Checks whether this processor, with its present XCR0, needs at most `BYTES`.
    ///
    /// # Errors
    ///
    /// Returns an [`XsaveUnusable`] that says what is missing.
    ///
    /// # Context
    ///
    /// Callable from: anywhere. Blocks: nothing.
    #[expect(
        unused_unsafe,
        reason = "the oldest compiler that builds this crate takes CPUID for unsafe"
    )]
    pub fn check() -> Result<(), XsaveUnusable> {
        const OSXSAVE: u32 = 1 << 27;
        // SAFETY: every x86_64 processor has the instruction.
        if unsafe { __cpuid(1) }.ecx & OSXSAVE == 0 {
            return Err(XsaveUnusable::NotEnabled);
        }
        // The size for what XCR0 enables now (Intel SDM, volume 2A, CPUID, leaf 0DH).
        // SAFETY: as above.
        let needed = unsafe { __cpuid_count(0xd, 0) }.ebx as usize;
        if needed > BYTES {
            return Err(XsaveUnusable::TooSmall { needed });
        }
        Ok(())
    }

    /// Returns the registers in their initial state, with all exceptions masked.
    ///
    /// # Safety
    ///
    /// One core at a time saves and loads this, as for [`FxsaveArea::new`]. On that core
    /// [`check`](Self::check) has returned `Ok`, and XCR0 has not changed since. CR0.TS is clear. No
    /// compiled code of the kernel uses these registers.
    #[must_use]
    pub const unsafe fn new() -> Self {
        let () = Self::LEAST;
        Self(UnsafeCell::new(initial()))
    }
}

impl<const BYTES: usize> SwitchState for XsaveArea<BYTES> {
    unsafe fn save(&self) {
        // SAFETY: `check` found the area large enough; it is aligned and nobody else's. The mask
        // selects everything that is enabled.
        unsafe {
            asm!("xsave64 [{}]", in(reg) self.0.get(), in("eax") u32::MAX, in("edx") u32::MAX,
                options(nostack, preserves_flags));
        };
    }

    unsafe fn load(&self) {
        // SAFETY: as above; it holds what `xsave64` wrote, or a header of zeros, by which all
        // components take their initial state. No compiled code has its values in these registers.
        unsafe {
            asm!("xrstor64 [{}]", in(reg) self.0.get(), in("eax") u32::MAX, in("edx") u32::MAX,
                options(nostack, preserves_flags));
        };
    }
}

impl<const BYTES: usize> fmt::Debug for XsaveArea<BYTES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("XsaveArea")
            .field("bytes", &BYTES)
            .finish_non_exhaustive()
    }
}
