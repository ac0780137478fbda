//! The tables by which a core finds its handlers, for kernels that have none of their own.

use super::{ExceptionStacks, OnFatal, install};
use core::cell::UnsafeCell;
use core::fmt;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicBool, Ordering};
use x86_64::VirtAddr;
use x86_64::instructions::interrupts::without_interrupts;
use x86_64::instructions::segmentation::{CS, SS, Segment};
use x86_64::instructions::tables::load_tss;
use x86_64::structures::gdt::{Descriptor, GlobalDescriptorTable};
use x86_64::structures::idt::InterruptDescriptorTable;
use x86_64::structures::tss::TaskStateSegment;

/// `#DF`, `#PF`, `#DB`, and all others.
const STACKS: usize = 4;

#[repr(C, align(16))]
struct Stack<const BYTES: usize>(MaybeUninit<[u8; BYTES]>);

/// A global descriptor table, a task state segment and an interrupt descriptor table, with four
/// stacks for exceptions of `STACK_BYTES` bytes each.
///
/// It is for kernels that have no such tables yet, and lies in a static, one for each core. The
/// descriptor table has the kernel's segments only. A kernel with user mode has tables of its own,
/// and calls [`install`](super::install).
///
/// ```ignore
/// use kfiber::exceptions::Tables;
///
/// static TABLES: Tables<{ 64 * 1024 }> = Tables::new();
///
/// // SAFETY: called at boot; both entries were made for their vectors.
/// unsafe { TABLES.load(on_fatal, &[(TIMER, on_timer), (SPURIOUS, on_spurious)]) };
/// ```
pub struct Tables<const STACK_BYTES: usize> {
    stacks: UnsafeCell<[Stack<STACK_BYTES>; STACKS]>,
    // Written by `load`: as they are, all of this would lie in the kernel's image, with the stacks.
    tss: UnsafeCell<MaybeUninit<TaskStateSegment>>,
    gdt: UnsafeCell<MaybeUninit<GlobalDescriptorTable>>,
    idt: UnsafeCell<MaybeUninit<InterruptDescriptorTable>>,
    is_loaded: AtomicBool,
}

// SAFETY: only `load` refers to what is inside, and `is_loaded` lets one call of it through.
unsafe impl<const STACK_BYTES: usize> Sync for Tables<STACK_BYTES> {}

impl<const STACK_BYTES: usize> Tables<STACK_BYTES> {
    /// Returns tables that are not loaded yet.
    #[must_use]
    pub const fn new() -> Self {
        const {
            assert!(
                STACK_BYTES >= 4096,
                "exception handlers format text: 16 KiB for each stack, and 64 KiB in a debug build"
            );
        }
        Self {
            stacks: UnsafeCell::new([const { Stack(MaybeUninit::uninit()) }; STACKS]),
            tss: UnsafeCell::new(MaybeUninit::uninit()),
            gdt: UnsafeCell::new(MaybeUninit::uninit()),
            idt: UnsafeCell::new(MaybeUninit::uninit()),
            is_loaded: AtomicBool::new(false),
        }
    }

    /// Fills the tables and loads them on this core. All exceptions that code can cause get the
    /// entries of [`install`](super::install), those that have a stack of their own included.
    /// `interrupts` are further vectors, with entries made by
    /// [`interrupt_entry!`](crate::interrupt_entry). All other vectors are absent, so an interrupt
    /// there is a fatal `#NP`, which is exception 11. Its error code holds the vector from bit 3 on
    /// (Intel SDM, volume 3, 6.13).
    ///
    /// # Panics
    ///
    /// Panics if these tables were loaded before, or if a vector in `interrupts` is below 32.
    ///
    /// # Safety
    ///
    /// - This is boot code of the core: it runs at privilege level 0, and nothing needs the tables
    ///   that were loaded before.
    /// - Each entry in `interrupts` was made for its vector.
    /// - `STACK_BYTES` suffice for the hooks and for `on_fatal`, and at no exception does the core
    ///   hold a lock that these take.
    ///
    /// # Context
    ///
    /// Callable from: boot code. Blocks: nothing.
    pub unsafe fn load(
        &'static self,
        on_fatal: OnFatal,
        interrupts: &[(u8, unsafe extern "sysv64" fn())],
    ) {
        assert!(
            !self.is_loaded.swap(true, Ordering::Relaxed),
            "these tables are in use already: each core needs its own"
        );
        // SAFETY: the caller's promise.
        without_interrupts(|| unsafe { self.load_segments() });
        // SAFETY: this is the only call that gets here, and nobody else refers to it.
        let idt = unsafe { &mut *self.idt.get() };
        let idt = idt.write(InterruptDescriptorTable::new());
        let stacks = ExceptionStacks::new(0, 1, 2).with_others(3);
        // SAFETY: the segment has these stacks, and `load_segments` has set CS. The rest is the caller's promise.
        unsafe { install(idt, stacks, on_fatal) };
        for &(vector, entry) in interrupts {
            assert!(vector >= 32, "vector {vector} is an exception's");
            let address = VirtAddr::from_ptr(entry as *const ());
            // SAFETY: the caller's promise.
            unsafe { idt[vector].set_handler_addr(address) };
        }
        let idt: &'static InterruptDescriptorTable = idt;
        idt.load();
    }

    /// Loads the descriptor table and the task state segment, with the stacks in it.
    ///
    /// # Safety
    ///
    /// Called once, by `load`, with interrupts off.
    unsafe fn load_segments(&'static self) {
        // SAFETY: the caller's promise: there is no other reference to it.
        let tss = unsafe { &mut *self.tss.get() };
        let tss = tss.write(TaskStateSegment::new());
        let stacks: *const Stack<STACK_BYTES> = self.stacks.get().cast();
        for index in 0..STACKS {
            let top = VirtAddr::from_ptr(stacks.wrapping_add(index + 1));
            tss.interrupt_stack_table[index] = top;
        }
        let tss: &'static TaskStateSegment = tss;
        // SAFETY: as above.
        let gdt = unsafe { &mut *self.gdt.get() };
        let gdt = gdt.write(GlobalDescriptorTable::new());
        let code = gdt.append(Descriptor::kernel_code_segment());
        let data = gdt.append(Descriptor::kernel_data_segment());
        let task = gdt.append(Descriptor::tss_segment(tss));
        let gdt: &'static GlobalDescriptorTable = gdt;
        gdt.load();
        // SAFETY: the table that was just loaded has a code segment of 64 bits there.
        unsafe { CS::set_reg(code) };
        // SAFETY: and a data segment that can be written there.
        unsafe { SS::set_reg(data) };
        // SAFETY: and the task state segment there, which stays for good.
        unsafe { load_tss(task) };
    }
}

impl<const STACK_BYTES: usize> Default for Tables<STACK_BYTES> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const STACK_BYTES: usize> fmt::Debug for Tables<STACK_BYTES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tables")
            .field("is_loaded", &self.is_loaded)
            .finish_non_exhaustive()
    }
}
