//! GDT, TSS and IDT, and the stacks on which exceptions are handled, each above a page that is not mapped.
//!
//! Each core has a TSS of its own, since the stacks are its own, and therefore a GDT of its own. The IDT names vectors and
//! indices of stacks, which are the same on every core, so all cores share one.

use core::{cell::UnsafeCell, mem::MaybeUninit};

use x86_64::{
    VirtAddr,
    instructions::{
        interrupts::without_interrupts,
        segmentation::{CS, SS, Segment},
        tables::{lidt, load_tss},
    },
    structures::{
        DescriptorTablePointer,
        gdt::{Descriptor, GlobalDescriptorTable, SegmentSelector},
        idt::{Entry, HandlerFunc},
        tss::TaskStateSegment,
    },
};

use super::{USER_CODE, USER_DATA, VECTORS};
use crate::paging;

/// Stacks for: double fault, NMI, machine check, debug, page fault, all other exceptions.
const STACKS: usize = 6;
/// A hook may format text or unwind in a debug build.
const STACK_SIZE: usize = 64 * 1024;

#[repr(C, align(4096))]
struct TrapStack {
    guard: [u8; 4096],
    memory: [u8; STACK_SIZE],
}

/// Written once, before the core that uses it can be interrupted; read by the processor. (`set_gate` changes one gate.)
struct AtBoot<T>(UnsafeCell<MaybeUninit<T>>);

// SAFETY: Only `init` and `CoreTables::prepare` write to it, each once.
unsafe impl<T> Sync for AtBoot<T> {}

impl<T> AtBoot<T> {
    const fn new() -> Self {
        Self(UnsafeCell::new(MaybeUninit::uninit()))
    }

    /// # Safety
    ///
    /// Called once.
    unsafe fn put(&'static self, value: T) -> &'static T {
        // SAFETY: The caller's promise: no reference to the content exists yet.
        let slot = unsafe { &mut *self.0.get() };
        slot.write(value)
    }
}

/// What a core has of its own.
pub(crate) struct CoreTables {
    stacks: AtBoot<[TrapStack; STACKS]>,
    tss: AtBoot<TaskStateSegment>,
    segments: AtBoot<Segments>,
}

/// The GDT, and which of its entries are which.
struct Segments {
    gdt: GlobalDescriptorTable,
    code: SegmentSelector,
    data: SegmentSelector,
    task: SegmentSelector,
}

static FIRST_CORE: CoreTables = CoreTables::new();
static IDT: AtBoot<[Entry<HandlerFunc>; VECTORS]> = AtBoot::new();

unsafe extern "C" {
    /// Addresses of the entries in `entry.s`.
    static kfiber_test_vectors: [u64; VECTORS];
}

/// Returns the stack for a vector, counted from 0; nothing means the stack that is interrupted.
const fn stack_index(vector: usize) -> Option<u16> {
    match vector {
        8 => Some(0),
        2 => Some(1),
        18 => Some(2),
        1 => Some(3),
        14 => Some(4),
        // Breakpoints, overflow checks and interrupts: tests want them on the stack that is interrupted.
        3 | 4 | 32.. => None,
        _ => Some(5),
    }
}

impl CoreTables {
    /// Returns tables that are not prepared.
    pub(crate) const fn new() -> Self {
        Self {
            stacks: AtBoot::new(),
            tss: AtBoot::new(),
            segments: AtBoot::new(),
        }
    }

    /// Fills the tables, and unmaps the pages below their stacks.
    ///
    /// # Safety
    ///
    /// Called once, before [`load`](Self::load), and before another core runs that could have the pages in its TLB.
    pub(crate) unsafe fn prepare(&'static self) {
        let mut tss = TaskStateSegment::new();
        let stacks = self.stacks.0.get().cast::<TrapStack>();
        for index in 0..STACKS {
            let stack = stacks.wrapping_add(index);
            paging::unmap(stack as u64);
            tss.interrupt_stack_table[index] = VirtAddr::from_ptr(stack.wrapping_add(1));
        }
        // SAFETY: The caller's promise.
        let tss = unsafe { self.tss.put(tss) };
        let mut gdt = GlobalDescriptorTable::new();
        let code = gdt.append(Descriptor::kernel_code_segment());
        let data = gdt.append(Descriptor::kernel_data_segment());
        let task = gdt.append(Descriptor::tss_segment(tss));
        // In the order that `sysret` asks for.
        let user_data = gdt.append(Descriptor::user_data_segment());
        let user_code = gdt.append(Descriptor::user_code_segment());
        assert_eq!((user_data.0, user_code.0), (USER_DATA, USER_CODE));
        let segments = Segments {
            gdt,
            code,
            data,
            task,
        };
        // SAFETY: The caller's promise.
        unsafe { self.segments.put(segments) };
    }

    /// Makes this core use the tables, and the IDT that all cores share.
    ///
    /// # Safety
    ///
    /// The tables are prepared, no other core uses them, and `init` has run.
    pub(crate) unsafe fn load(&'static self) {
        let segments = self.segments.0.get().cast::<Segments>();
        // SAFETY: The caller's promise: prepared, and from then on only read. (Loading the TSS sets its busy bit, which
        // the processor does by itself.)
        let segments = unsafe { &*segments };
        segments.gdt.load();
        // SAFETY: A 64-bit code segment, as the one in use.
        unsafe { CS::set_reg(segments.code) };
        // SAFETY: A writable data segment.
        unsafe { SS::set_reg(segments.data) };
        // SAFETY: The segment was made for the TSS of these tables.
        unsafe { load_tss(segments.task) };
        load_idt();
    }
}

pub(super) fn init() {
    let mut idt = [const { Entry::missing() }; VECTORS];
    // SAFETY: `entry.s` defines it and nobody writes to it.
    let entries = unsafe { &kfiber_test_vectors };
    for (vector, (gate, &entry)) in idt.iter_mut().zip(entries).enumerate() {
        // SAFETY: The entry of just this vector: it takes what the processor pushes, and ends with `iretq`.
        let options = unsafe { gate.set_handler_addr(VirtAddr::new(entry)) };
        if let Some(index) = stack_index(vector) {
            // SAFETY: The TSS has a stack of this index.
            unsafe { options.set_stack_index(index) };
        }
    }
    // SAFETY: `init` runs once.
    unsafe { IDT.put(idt) };
    // SAFETY: `init` runs once, on the only core that runs.
    unsafe { FIRST_CORE.prepare() };
    // SAFETY: They are prepared, they are the first core's, and the IDT is filled.
    unsafe { FIRST_CORE.load() };
}

fn load_idt() {
    let idt = IDT.0.get();
    let limit = u16::try_from(size_of_val(&IDT) - 1).expect("48 gates of 16 bytes");
    let base = VirtAddr::from_ptr(idt);
    // SAFETY: All gates lead to our entries; only `set_gate` changes one, as a whole.
    unsafe { lidt(&DescriptorTablePointer { limit, base }) };
}

/// Returns the address of the task state segment.
pub(super) fn task_state_segment() -> u64 {
    FIRST_CORE.tss.0.get() as u64
}

/// Has a vector enter elsewhere.
///
/// # Safety
///
/// At `entry` is code that takes what the processor pushes for this vector, and ends with `iretq`.
pub(super) unsafe fn set_gate(vector: u8, entry: u64, stack: Option<u16>) {
    let mut gate = Entry::missing();
    // SAFETY: The caller's promise.
    let options = unsafe { gate.set_handler_addr(VirtAddr::new(entry)) };
    if let Some(index) = stack {
        assert!(usize::from(index) < STACKS, "there is no such stack");
        // SAFETY: The TSS has a stack of this index.
        unsafe { options.set_stack_index(index) };
    }
    let gates: *mut Entry<HandlerFunc> = IDT.0.get().cast();
    assert!(usize::from(vector) < VECTORS, "there is no such gate");
    let at = gates.wrapping_add(vector.into());
    // SAFETY: The gate is in the table, which was written at boot; nobody refers to it but the processor.
    without_interrupts(|| unsafe { at.write_volatile(gate) });
}
