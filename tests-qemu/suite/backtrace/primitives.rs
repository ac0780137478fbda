//! More to watch, below the fiber layer: the switch out of line mixed with the inline one, and the symmetric switch.

use core::hint::black_box;
use core::mem::MaybeUninit;

use kfiber::context::{self, ControlBlock, Payload, Transfer};
use kfiber::stack::{Stack, StackHandle, StackMemory as _, Storage};

use super::scene::{announce, block};

static STACKS: [Stack<{ 32 * 1024 }>; 2] = [const { Stack::new() }; 2];

/// Makes a fiber of `body` with the number `index` and returns its block, which lies at the top of its stack.
fn make(
    stack: &StackHandle<Stack<{ 32 * 1024 }>>,
    index: usize,
    body: context::Body,
) -> *mut ControlBlock {
    let block: *mut ControlBlock = stack
        .bounds()
        .top()
        .wrapping_sub(size_of::<ControlBlock>())
        .cast();
    // SAFETY: The block is on the stack that the caller took, and so is everything below it. `body` cannot unwind.
    unsafe { ControlBlock::init(block, block.cast(), body) };
    announce(index, block);
    block
}

const fn word(value: usize) -> Payload {
    MaybeUninit::new(value)
}

/// Resumes a fiber inline and out of line in turn; the fiber does likewise.
#[inline(never)]
pub(super) fn play_out_of_line(is_child_above: bool) {
    // The kernel's own stack is below or above both; another resumer lies between.
    let stack = STACKS[usize::from(is_child_above)]
        .take()
        .expect("not in use");
    let fiber = make(&stack, 1, out_of_line_entry);
    let mut rounds = 0;
    while !resume_out_of_line(fiber, rounds).tag.is_null() {
        // SAFETY: It has just suspended itself.
        unsafe { ControlBlock::mark_suspended(fiber) };
        // SAFETY: It is suspended, and the stack is still ours.
        let transfer = unsafe { context::resume(fiber, word(rounds)) };
        // SAFETY: It has just suspended itself.
        unsafe { ControlBlock::mark_suspended(transfer.tag) };
        rounds += 1;
    }
    assert_eq!(rounds, 2);
}

#[inline(never)]
pub(super) fn resume_out_of_line(fiber: *mut ControlBlock, value: usize) -> Transfer {
    let contexts = contexts(fiber);
    // SAFETY: The fiber is new or suspended, and its stack is still ours.
    let transfer = unsafe {
        context::switch_out_of_line(word(value), fiber, contexts, contexts.wrapping_add(1))
    };
    black_box(transfer)
}

/// The two contexts of a block, which are all that is in it: the resumer's and its own.
const fn contexts(block: *mut ControlBlock) -> *mut context::Context {
    block.cast()
}

unsafe extern "sysv64" fn out_of_line_entry(_: Payload, own: *mut ControlBlock) -> Payload {
    for round in 0..2 {
        // SAFETY: We run on the fiber of this block.
        unsafe { context::suspend(own, word(round)) };
        suspend_out_of_line(own, round);
    }
    word(0)
}

#[inline(never)]
pub(super) fn suspend_out_of_line(own: *mut ControlBlock, value: usize) {
    let contexts = contexts(own);
    // SAFETY: We run on the fiber of this block, whose resumer waits.
    black_box(unsafe {
        context::switch_out_of_line(word(value), own, contexts.wrapping_add(1), contexts)
    });
}

/// From the root to the first fiber, to the second, and back to the root, three times round. Nobody is anybody's parent.
#[inline(never)]
pub(super) fn play_symmetric(is_first_above: bool) {
    let first = STACKS[usize::from(is_first_above)]
        .take()
        .expect("not in use");
    let second = STACKS[usize::from(!is_first_above)]
        .take()
        .expect("not in use");
    let mut root = ControlBlock::new();
    let root = &raw mut root;
    let fiber = make(&first, 1, symmetric_first);
    make(&second, 2, symmetric_second);
    for _ in 0..3 {
        // SAFETY: The first fiber is new or was left by its own switch; `root` is read by the second one's.
        let transfer = unsafe { context::switch(root, fiber, word(root.expose_provenance())) };
        assert_eq!(transfer.tag, block(2));
    }
}

unsafe extern "sysv64" fn symmetric_first(mut value: Payload, own: *mut ControlBlock) -> Payload {
    loop {
        // SAFETY: The second fiber is new or was left by its own switch, and we run on `own`.
        value = unsafe { context::switch(own, block(2), value) }.payload;
    }
}

unsafe extern "sysv64" fn symmetric_second(mut value: Payload, own: *mut ControlBlock) -> Payload {
    loop {
        value = to_root(value, own);
    }
}

#[inline(never)]
pub(super) fn to_root(value: Payload, own: *mut ControlBlock) -> Payload {
    // SAFETY: The root sends the address of its block, and waits.
    let root = core::ptr::with_exposed_provenance_mut(unsafe { value.assume_init() });
    // SAFETY: The root waits, and we run on `own`.
    unsafe { context::switch(own, root, value) }.payload
}
