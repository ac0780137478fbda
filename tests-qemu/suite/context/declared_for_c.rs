//! The C declaration in the documentation of the out-of-line switch, word by word, and a caller that goes by it alone.

use core::{ffi::c_void, mem::offset_of};

use kfiber::{
    context::{Context, ControlBlock, Payload, Transfer},
    stack::{Stack, StackMemory, Storage},
};
use tests_qemu::kernel_test;

static STACK: Stack<{ 16 * 1024 }> = Stack::new();

#[repr(C)]
pub(crate) struct KfiberContext {
    rbp: *mut c_void,
    ip: *mut c_void,
    sp: *mut c_void,
    rbx: *mut c_void,
}

#[repr(C, align(64))]
pub(crate) struct KfiberBlock {
    parent: KfiberContext,
    own: KfiberContext,
}

#[repr(C)]
pub(crate) struct KfiberTransfer {
    payload: usize,
    tag: *mut KfiberBlock,
}

unsafe extern "C" {
    pub(crate) fn kfiber_0_1_switch(
        payload: usize,
        tag: *mut KfiberBlock,
        prev: *mut KfiberContext,
        next: *mut KfiberContext,
    ) -> KfiberTransfer;
}

const fn parent_of(block: *mut KfiberBlock) -> *mut KfiberContext {
    block
        .wrapping_byte_add(offset_of!(KfiberBlock, parent))
        .cast()
}

const fn own_of(block: *mut KfiberBlock) -> *mut KfiberContext {
    block.wrapping_byte_add(offset_of!(KfiberBlock, own)).cast()
}

unsafe extern "sysv64" fn body(payload: Payload, block: *mut ControlBlock) -> Payload {
    // SAFETY: The test sends numbers.
    let mut number = unsafe { payload.assume_init() };
    let block: *mut KfiberBlock = block.cast();
    while number < 100 {
        // SAFETY: As the declaration says it is to be called, on the fiber of this block.
        let transfer =
            unsafe { kfiber_0_1_switch(number * 2, block, own_of(block), parent_of(block)) };
        assert_eq!(transfer.tag, block);
        number = transfer.payload;
    }
    Payload::new(number + 1)
}

kernel_test! {
    fn the_declaration_for_c_is_true() {
        assert_eq!(size_of::<KfiberContext>(), size_of::<Context>());
        assert_eq!(size_of::<KfiberBlock>(), size_of::<ControlBlock>());
        assert_eq!(align_of::<KfiberBlock>(), align_of::<ControlBlock>());
        assert_eq!(size_of::<KfiberTransfer>(), size_of::<Transfer>());
        let stack = STACK.take().expect("first use");
        let mut block = ControlBlock::new();
        // SAFETY: The stack is ours, its top is aligned, and the body does not unwind.
        unsafe { ControlBlock::init(&raw mut block, stack.bounds().top(), body) };
        let block: *mut KfiberBlock = (&raw mut block).cast();
        let resume = |number| {
            // SAFETY: As the declaration says it is to be called; the fiber is fresh or suspended.
            unsafe { kfiber_0_1_switch(number, block, parent_of(block), own_of(block)) }
        };
        for number in 10..20 {
            let transfer = resume(number);
            assert_eq!((transfer.payload, transfer.tag), (number * 2, block));
            // SAFETY: The fiber is suspended; nobody writes to its block.
            let KfiberContext { ip, sp, .. } = unsafe { own_of(block).read() };
            assert!(stack.bounds().contains(sp.addr()), "{sp:?}");
            // The switch pushes r12 to r15, so that the caller's return address lies above them.
            let return_address = sp.cast::<usize>().wrapping_add(4);
            // SAFETY: A word of the fiber's stack, above its stack pointer.
            let return_address = unsafe { return_address.read() };
            assert!(return_address.abs_diff(body as *const () as usize) < 4096, "{return_address:#x} {ip:?}");
        }
        let transfer = resume(100);
        assert_eq!((transfer.payload, transfer.tag.is_null()), (101, true));
    }
}
