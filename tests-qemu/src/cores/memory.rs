//! What a further core has of its own: a boot stack above an unmapped page, and descriptor tables.

use core::{cell::UnsafeCell, mem::MaybeUninit};

use crate::{core_local::MOST, exceptions::tables::CoreTables, paging};

/// Size of the stack on which a further core begins.
const STACK_SIZE: usize = 128 * 1024;

/// Boot stack and tables of one further core.
#[repr(C, align(4096))]
pub(super) struct CoreMemory {
    guard: UnsafeCell<MaybeUninit<[u8; 4096]>>,
    stack: UnsafeCell<MaybeUninit<[u8; STACK_SIZE]>>,
    pub(super) tables: CoreTables,
}

// SAFETY: Only the core to which it belongs uses the stack, and nobody the guard; the tables are `Sync`.
unsafe impl Sync for CoreMemory {}

/// Of all cores but the first.
pub(super) static MEMORY: [CoreMemory; MOST - 1] = [const {
    CoreMemory {
        guard: UnsafeCell::new(MaybeUninit::uninit()),
        stack: UnsafeCell::new(MaybeUninit::uninit()),
        tables: CoreTables::new(),
    }
}; MOST - 1];

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
