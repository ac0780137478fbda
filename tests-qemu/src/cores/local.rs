//! What a core has of its own: its number, where the GS base points, and its boot stack and tables.

use core::{
    arch::asm,
    cell::UnsafeCell,
    mem::MaybeUninit,
    sync::atomic::{AtomicU32, AtomicUsize, Ordering},
};

#[cfg(feature = "smp")]
use kfiber::scheduler::CoreLocal;
use x86_64::{VirtAddr, registers::model_specific::GsBase};

use super::MOST;
use crate::{exceptions::tables::CoreTables, paging};

/// Size of the stack on which a further core begins.
const STACK_SIZE: usize = 128 * 1024;

/// The memory at a core's GS base.
///
/// With the feature `smp` it shows how a kernel that has such an area embeds kfiber's words: `build.rs` tells the linker
/// their offset.
#[repr(C, align(64))]
pub(super) struct PerCore {
    /// The core's number, at offset 0.
    number: AtomicUsize,
    /// The identity of the core's local APIC.
    pub(super) apic_id: AtomicU32,
    /// How often the core was kicked.
    pub(super) kicks: AtomicUsize,
    /// What kfiber knows of the core.
    #[cfg(feature = "smp")]
    kfiber: CoreLocal,
}

/// The offset that `build.rs` passes to the linker.
#[cfg(feature = "smp")]
const _: () = assert!(core::mem::offset_of!(PerCore, kfiber) == 64);

/// Boot stack and tables of one further core.
#[repr(C, align(4096))]
pub(super) struct CoreMemory {
    guard: UnsafeCell<MaybeUninit<[u8; 4096]>>,
    stack: UnsafeCell<MaybeUninit<[u8; STACK_SIZE]>>,
    pub(super) tables: CoreTables,
}

// SAFETY: Only the core to which it belongs uses the stack, and nobody the guard; the tables are `Sync`.
unsafe impl Sync for CoreMemory {}

pub(super) static LOCALS: [PerCore; MOST] = [const {
    PerCore {
        number: AtomicUsize::new(0),
        apic_id: AtomicU32::new(0),
        kicks: AtomicUsize::new(0),
        #[cfg(feature = "smp")]
        kfiber: CoreLocal::new(),
    }
}; MOST];

/// Of all cores but the first.
pub(super) static MEMORY: [CoreMemory; MOST - 1] = [const {
    CoreMemory {
        guard: UnsafeCell::new(MaybeUninit::uninit()),
        stack: UnsafeCell::new(MaybeUninit::uninit()),
        tables: CoreTables::new(),
    }
}; MOST - 1];

impl PerCore {
    /// Makes this core the one of this number.
    pub(super) fn install(number: usize) {
        let local = &LOCALS[number];
        local.number.store(number, Ordering::Relaxed);
        GsBase::write(VirtAddr::from_ptr(local));
        #[cfg(feature = "smp")]
        // SAFETY: this core has just begun, has these words alone, and nobody changes the GS base again.
        unsafe {
            local.kfiber.embed();
        }
    }

    /// Returns this core's number.
    #[inline]
    pub(super) fn number() -> usize {
        let number;
        // SAFETY: Each core sets its GS base before it calls anything that asks. The field is the first one.
        unsafe {
            asm!("mov {}, gs:[0]", out(reg) number, options(nostack, readonly, preserves_flags));
        };
        number
    }
}

impl CoreMemory {
    /// Unmaps the page below the stack, and returns the stack's top.
    pub(super) fn prepare_stack(&'static self) -> *mut u8 {
        paging::unmap(self.guard.get() as u64);
        self.stack.get().cast::<u8>().wrapping_add(STACK_SIZE)
    }

    /// Returns whether the address lies in the stack.
    pub(super) fn is_stack(&self, address: usize) -> bool {
        let bottom = self.stack.get().addr();
        (bottom..bottom + STACK_SIZE).contains(&address)
    }
}
