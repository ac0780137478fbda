//! What tests share that walk at each instruction: the unwinder, the registers where a walk begins, and a place for what the
//! handler of single steps knows.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;

use tests_qemu::exceptions::TrapFrame;
use tests_qemu::start_info;
use tests_unwind::{Entry, Registers, Unwinder};

/// The vector of single steps.
pub(crate) const DEBUG: u8 = 1;
/// Most functions that the kernel can have.
const MAX_FUNCTIONS: usize = 32 * 1024;

struct Room(UnsafeCell<[Entry; MAX_FUNCTIONS]>);

// SAFETY: Only `unwinder` takes it, once.
unsafe impl Sync for Room {}

static ROOM: Room = Room(UnsafeCell::new([Entry::NONE; MAX_FUNCTIONS]));

/// Reads the unwind tables. A test calls it once.
pub(crate) fn unwinder() -> Unwinder {
    let section = start_info::module().expect("the runner passes `.debug_frame` as a module");
    // SAFETY: It is taken here only, and a test calls this once.
    Unwinder::new(section, unsafe { &mut *ROOM.0.get() })
}

/// The registers of the code that a step has interrupted.
pub(crate) fn interrupted(frame: &TrapFrame) -> Registers {
    registers(frame, frame.rip, frame.rsp)
}

/// The registers in the order of their DWARF numbers, with another instruction and stack pointer.
pub(crate) fn registers(f: &TrapFrame, rip: u64, rsp: u64) -> Registers {
    Registers::interrupted([
        f.rax, f.rdx, f.rcx, f.rbx, f.rsi, f.rdi, f.rbp, rsp, f.r8, f.r9, f.r10, f.r11, f.r12,
        f.r13, f.r14, f.r15, rip,
    ])
}

/// Whether the processor is about to execute `pushfq`. Behind it, in inline assembly, the compiler's rules do not know of the
/// word on the stack.
pub(crate) const fn is_at_pushfq(frame: &TrapFrame) -> bool {
    // SAFETY: The byte that the processor is about to execute.
    unsafe { *(frame.rip as *const u8) == 0x9c }
}

/// A place for what a test and its handler of steps know. The test fills it before the steps begin.
pub(crate) struct Kept<T>(UnsafeCell<MaybeUninit<T>>);

// SAFETY: One processor; the test uses it before the steps begin and after they have ended, and the handler in between.
unsafe impl<T> Sync for Kept<T> {}

impl<T> Kept<T> {
    pub(crate) const fn nothing() -> Self {
        Self(UnsafeCell::new(MaybeUninit::uninit()))
    }

    /// Fills the place.
    pub(crate) fn fill(&self, value: T) {
        // SAFETY: Nobody else uses it yet.
        unsafe { &mut *self.0.get() }.write(value);
    }

    /// What the place was filled with. No reference may be kept across a step or another use.
    #[expect(clippy::mut_from_ref, reason = "one processor: see `Sync` above")]
    pub(crate) const fn get(&self) -> &mut T {
        // SAFETY: See `Sync` above; no reference is kept across the uses.
        let value = unsafe { &mut *self.0.get() };
        // SAFETY: The test fills it before anyone asks.
        unsafe { value.assume_init_mut() }
    }
}
