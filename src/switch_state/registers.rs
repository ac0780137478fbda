//! Registers of which a process has its own values: CR3, the FS and GS bases, and the stack for
//! interrupts.

use super::SwitchState;
use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};
use x86_64::VirtAddr;
use x86_64::instructions::tables::sgdt;
use x86_64::registers::control::{Cr3, Cr3Flags};
use x86_64::registers::model_specific::Msr;
use x86_64::structures::paging::PhysFrame;

/// The address space of a fiber: what CR3 holds.
///
/// CR3 is written only if it changes, because a write to it empties the translation caches.
///
/// ```ignore
/// // SAFETY: the table maps the kernel, its stacks and its data as all others do.
/// let mut space = unsafe { AddressSpace::new(level_4_frame, Cr3Flags::empty()) };
/// SPACES.with(&mut space, |_| run_process());
/// ```
#[derive(Debug)]
pub struct AddressSpace {
    cr3: AtomicU64,
}

impl AddressSpace {
    /// Returns the address space of this table.
    ///
    /// # Safety
    ///
    /// Where the kernel's code, stacks and data are mapped, the table maps them as all others do. It
    /// stays as long as the address space is in use.
    #[must_use]
    pub const unsafe fn new(level_4: PhysFrame, flags: Cr3Flags) -> Self {
        Self {
            cr3: AtomicU64::new(level_4.start_address().as_u64() | flags.bits()),
        }
    }

    /// Returns an address space that is known after it was saved first: that of everybody else, for
    /// [`PerFiber::new`](super::PerFiber::new). It cannot be loaded before; an attempt to do so
    /// changes nothing.
    #[must_use]
    pub const fn unset() -> Self {
        Self {
            cr3: AtomicU64::new(0),
        }
    }

    fn current() -> u64 {
        let (frame, low_bits) = Cr3::read_raw();
        frame.start_address().as_u64() | u64::from(low_bits)
    }
}

impl SwitchState for AddressSpace {
    unsafe fn save(&self) {
        self.cr3.store(Self::current(), Ordering::Relaxed);
    }

    unsafe fn load(&self) {
        let cr3 = self.cr3.load(Ordering::Relaxed);
        if cr3 != 0 && cr3 != Self::current() {
            // SAFETY: the promise of `new`'s caller, or it was in use before.
            unsafe { asm!("mov cr3, {}", in(reg) cr3, options(nostack, preserves_flags)) };
        }
    }
}

/// The stack on which the processor enters the kernel from user mode: `rsp0` in the task state
/// segment.
///
/// The segment is found by the task register, so each core has its own.
#[derive(Debug)]
pub struct KernelStack {
    rsp0: AtomicU64,
}

impl KernelStack {
    /// Returns a stack that is known after [`set`](Self::set), or after it was saved first. Loading
    /// it before changes nothing.
    ///
    /// # Safety
    ///
    /// Whenever a state is saved or loaded, or is set, the task register of the core names a 64-bit
    /// task state segment that is mapped and writable, and nobody else accesses its `rsp0`.
    #[must_use]
    pub const unsafe fn unset() -> Self {
        Self {
            rsp0: AtomicU64::new(0),
        }
    }

    /// Makes the memory below `top` the stack on which the running fiber enters the kernel, from now
    /// on. `top` is usually the stack pointer of the fiber where it enters user mode.
    ///
    /// # Safety
    ///
    /// The running fiber has this state, in [`PerFiber::with`](super::PerFiber::with). While it is in
    /// user mode, the memory below `top` belongs to interrupts and system calls, as far down as they
    /// need. It is on the fiber's own stack, where checks of the stack pointer expect it.
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: nothing.
    pub unsafe fn set(&self, top: *mut u8) {
        self.rsp0
            .store(top.expose_provenance() as u64, Ordering::Relaxed);
        // SAFETY: it is in use, by the caller's promise.
        unsafe { self.load() };
    }
}

impl SwitchState for KernelStack {
    unsafe fn save(&self) {
        // SAFETY: the promise of `unset`'s caller.
        let rsp0 = unsafe { rsp0() };
        // SAFETY: as above.
        let top = unsafe { rsp0.read_unaligned() };
        self.rsp0.store(top, Ordering::Relaxed);
    }

    unsafe fn load(&self) {
        let stack = self.rsp0.load(Ordering::Relaxed);
        if stack != 0 {
            // SAFETY: the promise of `unset`'s caller.
            let rsp0 = unsafe { rsp0() };
            // SAFETY: as above.
            unsafe { rsp0.write_unaligned(stack) };
        }
    }
}

/// Returns the place of `rsp0` in the task state segment of this core (Intel SDM, volume 3, 7.2.3 and
/// 7.7).
///
/// # Safety
///
/// The task register names a segment in a table that is mapped.
unsafe fn rsp0() -> *mut u64 {
    const RSP0_AT: usize = 4;
    let selector: u16;
    // SAFETY: it reads a register.
    unsafe { asm!("str {:x}", out(reg) selector, options(nomem, nostack, preserves_flags)) };
    let descriptor: *const u64 = sgdt().base.as_ptr();
    // SAFETY: the caller's promise.
    let descriptor = unsafe { descriptor.byte_add(usize::from(selector & !0b111)) };
    // SAFETY: as above.
    let low = unsafe { descriptor.read_unaligned() };
    // SAFETY: as above: the descriptor of such a segment has two words.
    let high = unsafe { descriptor.wrapping_add(1).read_unaligned() };
    let base = low >> 16 & 0x00ff_ffff | low >> 32 & 0xff00_0000 | high << 32;
    let segment = base as *mut u64;
    segment.wrapping_byte_add(RSP0_AT)
}

/// The FS and GS bases of a fiber's user code.
///
/// While the kernel runs, the user's GS base is the one that `swapgs` exchanges, as after an entry by
/// [`interrupt_entry!`](crate::interrupt_entry). The kernel's own GS base stays as it is, so a
/// kernel can find the data of its core by it.
#[derive(Debug)]
pub struct FsGsBases {
    fs: AtomicU64,
    gs: AtomicU64,
}

/// `IA32_FS_BASE` and `IA32_KERNEL_GS_BASE` (Intel SDM, volume 4, table 2-2).
const FS_BASE: Msr = Msr::new(0xc000_0100);
const OTHER_GS_BASE: Msr = Msr::new(0xc000_0102);
/// A value that neither register can have, since it is not canonical.
const UNSET: u64 = 1 << 63;

impl FsGsBases {
    /// Returns these bases.
    #[must_use]
    pub const fn new(fs: VirtAddr, gs: VirtAddr) -> Self {
        Self {
            fs: AtomicU64::new(fs.as_u64()),
            gs: AtomicU64::new(gs.as_u64()),
        }
    }

    /// Returns bases that are known after they were saved first. Loading them before changes
    /// nothing.
    #[must_use]
    pub const fn unset() -> Self {
        Self {
            fs: AtomicU64::new(UNSET),
            gs: AtomicU64::new(UNSET),
        }
    }
}

impl SwitchState for FsGsBases {
    unsafe fn save(&self) {
        for (register, place) in [(FS_BASE, &self.fs), (OTHER_GS_BASE, &self.gs)] {
            // SAFETY: every x86_64 processor has it, and reading it has no effect.
            place.store(unsafe { register.read() }, Ordering::Relaxed);
        }
    }

    unsafe fn load(&self) {
        for (mut register, place) in [(FS_BASE, &self.fs), (OTHER_GS_BASE, &self.gs)] {
            let base = place.load(Ordering::Relaxed);
            if base != UNSET {
                // SAFETY: the address is canonical, and the kernel has given these bases to user
                // code.
                unsafe { register.write(base) };
            }
        }
    }
}
