//! The first entry of a fiber: stack alignment, flags and arguments are those of an ordinary call.

use core::{
    arch::{asm, naked_asm},
    cell::UnsafeCell,
};

use kfiber::{
    context::{self, Context, ControlBlock, Payload, switch_out_of_line},
    fiber::Fiber,
    stack::{ForeignStack, MIN_SIZE_BYTES, StackMemory, TOP_ALIGN},
};
use tests_qemu::kernel_test;

use crate::checked::{own, parent};

/// What the body found when it was entered.
#[repr(C)]
struct Found {
    payload: u64,
    block: u64,
    rsp: u64,
    flags: u64,
}

struct Shared(UnsafeCell<Found>);

// SAFETY: One core, and the test reads what the fiber wrote only after that has come back.
unsafe impl Sync for Shared {}

static FOUND: Shared = Shared(UnsafeCell::new(Found {
    payload: 0,
    block: 0,
    rsp: 0,
    flags: 0,
}));

/// Notes the registers of its first instruction and returns the payload.
#[unsafe(naked)]
unsafe extern "sysv64" fn note_and_return(payload: Payload, block: *mut ControlBlock) -> Payload {
    naked_asm!(
        "mov rax, rsp",
        "pushfq",
        "pop rdx",
        "lea rcx, [rip + {found}]",
        "mov [rcx], rdi",
        "mov [rcx + 8], rsi",
        "mov [rcx + 16], rax",
        "mov [rcx + 24], rdx",
        "mov rax, rdi",
        "ret",
        found = sym FOUND,
    )
}

fn found() -> &'static Found {
    // SAFETY: The fiber that wrote it has come back.
    unsafe { &*FOUND.0.get() }
}

const DIRECTION_FLAG: u64 = 1 << 10;

kernel_test! {
    fn a_body_is_entered_as_by_a_call_on_every_stack_that_the_api_allows() {
        let memory = crate::stack::free_memory();
        for top in (MIN_SIZE_BYTES..MIN_SIZE_BYTES + 4096).step_by(TOP_ALIGN) {
            // SAFETY: Nothing else uses the memory above the kernel.
            let stack = unsafe { ForeignStack::new(memory, top, 0) }.expect("aligned");
            let mut block = ControlBlock::new();
            let block = &raw mut block;
            // SAFETY: The stack is ours, its top is aligned, and the body does not unwind.
            unsafe { ControlBlock::init(block, stack.bounds().top(), note_and_return) };
            // SAFETY: The fiber is fresh.
            let transfer = unsafe { context::resume(block, Payload::new(top)) };
            // SAFETY: The body returns what it was given.
            assert_eq!((unsafe { transfer.payload.assume_init() }, transfer.tag.is_null()), (top, true));
            assert_eq!((found().payload, found().block), (top as u64, block.addr() as u64));
            assert_eq!(found().rsp, stack.bounds().top().addr() as u64 - 8, "one return address");
            assert_eq!(found().rsp % 16, 8);
        }
    }

    fn closures_of_every_alignment_see_an_aligned_stack() {
        fn check<T: Default + 'static>() {
            let memory = crate::stack::free_memory();
            for size in (32 * 1024..33 * 1024).step_by(TOP_ALIGN) {
                // SAFETY: Nothing else uses the memory above the kernel.
                let stack = unsafe { ForeignStack::new(memory, size, 0) }.expect("aligned");
                let captured = T::default();
                let mut fiber = Fiber::<(), (), [usize; 2], _>::new(stack, move |_, ()| {
                    let captured = captured;
                    let local = T::default();
                    [(&raw const captured).addr(), (&raw const local).addr()]
                })
                .expect("it fits");
                let kfiber::fiber::Resumed::Returned(addresses) = fiber.resume(()) else {
                    panic!("it does not suspend");
                };
                assert!(addresses.iter().all(|address| address.is_multiple_of(align_of::<T>())), "{addresses:x?}");
            }
        }
        macro_rules! check_aligned {
            ($($align:literal)*) => {$({
                #[repr(align($align))]
                #[derive(Default)]
                struct Aligned(#[expect(dead_code, reason = "makes it as large as it is aligned")] u8);
                check::<Aligned>();
            })*};
        }
        check_aligned!(1 2 4 8 16 32 64 128 256 512 1024 2048 4096);
    }

    /// Whatever the resumer left: the ABI has it clear at a function's entry.
    fn the_first_entry_clears_the_direction_flag() {
        let memory = crate::stack::free_memory();
        // SAFETY: Nothing else uses the memory above the kernel.
        let stack = unsafe { ForeignStack::new(memory, 4096, 0) }.expect("aligned");
        let mut block = ControlBlock::new();
        let block = &raw mut block;
        // SAFETY: The stack is ours, its top is aligned, and the body does not unwind.
        unsafe { ControlBlock::init(block, stack.bounds().top(), note_and_return) };
        let (prev, next): (*mut Context, *mut Context) = (parent(block), own(block));
        // SAFETY: The fiber is fresh. No compiled code runs while the flag is set.
        unsafe {
            asm!(
                "std", "call {switch}", "cld", switch = sym switch_out_of_line,
                in("rdi") 1, in("rsi") block, in("rdx") prev, in("rcx") next, clobber_abi("sysv64"),
            );
        };
        assert_eq!(found().payload, 1);
        assert_eq!(found().flags & DIRECTION_FLAG, 0);
    }
}
