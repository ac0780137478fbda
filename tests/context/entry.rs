//! The first frame: what the processor and the ABI expect when a body begins, and what a block says of itself.

use super::{ControlBlock, Payload, payload, resume, root, spawn, suspend, switch, word};
use core::arch::{asm, naked_asm};
use core::ptr;
use kfiber::context::flags::Flags;
use kfiber::stack::{
    ForeignStack, GuardedStack, Stack, StackBounds, StackMemory, StackPool, Storage,
};

/// Returns the stack pointer that it was entered with.
#[cfg(not(miri))]
#[unsafe(naked)]
unsafe extern "sysv64" fn stack_pointer(_: Payload, _: *mut ControlBlock) -> Payload {
    naked_asm!("mov rax, rsp", "ret")
}

/// Returns the flags that it was entered with.
#[cfg(not(miri))]
#[unsafe(naked)]
unsafe extern "sysv64" fn flags(_: Payload, _: *mut ControlBlock) -> Payload {
    naked_asm!("pushfq", "pop rax", "ret")
}

/// Returns the other argument: the address of the block.
unsafe extern "sysv64" fn own_block(_: Payload, block: *mut ControlBlock) -> Payload {
    payload(block.addr())
}

unsafe extern "sysv64" fn echo(first: Payload, block: *mut ControlBlock) -> Payload {
    let mut value = first;
    loop {
        // SAFETY: runs on the fiber of `block`, which is only ever resumed.
        value = unsafe { suspend(block, value) };
    }
}

/// The block at the top of a stack, and a fiber in it that runs `body`.
fn fiber_on(bounds: StackBounds, body: kfiber::context::Body) -> *mut ControlBlock {
    let block = bounds.top().cast::<ControlBlock>().wrapping_sub(1);
    // SAFETY: the test owns the stack and keeps it; the block is at its top, and its lower end is aligned.
    unsafe { ControlBlock::init(block, block.cast(), body) };
    block
}

#[cfg(not(miri))]
#[test]
#[cfg_attr(kfiber_threads, ignore = "threads have stacks of their own")]
fn a_body_is_entered_with_the_alignment_of_the_abi_on_every_kind_of_stack() {
    static DENSE: Stack<1152> = Stack::new();
    static LARGER: Stack<{ 128 * 33 }> = Stack::new();
    static GUARDED: [GuardedStack<8192>; 4] = [const { GuardedStack::new() }; 4];
    static POOL: StackPool<1024, 5> = StackPool::new();
    static FOREIGN: Stack<4096> = Stack::new();
    let mut all = vec![DENSE.storage_bounds(), LARGER.storage_bounds()];
    all.extend(GUARDED.iter().map(Storage::storage_bounds));
    all.extend(POOL.stacks().iter().map(Storage::storage_bounds));
    // Foreign memory of every alignment that is allowed.
    for offset in [0, 16, 32, 48] {
        let bottom = FOREIGN.storage_bounds().bottom().wrapping_add(offset);
        // SAFETY: inside a static that nothing else uses, and one fiber at a time runs there.
        let stack = unsafe { ForeignStack::new(bottom, 4096 - offset, 0) }.expect("well formed");
        all.push(stack.bounds());
    }
    for bounds in all {
        let block = fiber_on(bounds, stack_pointer);
        // SAFETY: the fiber is new.
        let entered = word(unsafe { resume(block, payload(0)) }.payload);
        assert_eq!(entered % 16, 8, "as after a call: {bounds:?}");
        assert_eq!(
            entered,
            block.addr() - 8,
            "right below the block: {bounds:?}"
        );
        assert!(bounds.contains(entered), "{bounds:?}");
    }
}

#[cfg(not(miri))]
#[test]
#[cfg_attr(kfiber_threads, ignore = "a new thread's flags are the kernel's doing")]
fn the_direction_flag_is_clear_at_the_first_entry_whatever_the_resumer_left() {
    const DIRECTION: usize = 1 << 10;
    let block = spawn(flags);
    // SAFETY: nothing between here and the switch uses a string instruction.
    unsafe { asm!("std", options(nomem, nostack)) };
    // SAFETY: the fiber is new.
    let transfer = unsafe { resume(block, payload(0)) };
    // SAFETY: restores what the ABI wants.
    unsafe { asm!("cld", options(nomem, nostack)) };
    assert_eq!(word(transfer.payload) & DIRECTION, 0);
}

#[cfg(not(miri))]
#[test]
#[should_panic(expected = "switch with the direction flag set")]
fn the_flag_check_names_the_direction_flag() {
    // SAFETY: the check clears it again before it panics.
    unsafe { asm!("std", options(nomem, nostack)) };
    let _ = Flags::check();
}

#[test]
fn the_flag_check_passes_when_nothing_changed() {
    Flags::check().check_unchanged();
}

#[test]
fn a_body_gets_its_own_block() {
    let block = spawn(own_block);
    // SAFETY: the fiber is new.
    let transfer = unsafe { resume(block, payload(0)) };
    assert_eq!(word(transfer.payload), block.addr());
}

#[test]
fn a_block_is_fresh_until_its_fiber_first_suspends() {
    let block = spawn(echo);
    // SAFETY: nobody else uses the block.
    assert!(unsafe { (*block).is_fresh() });
    for _ in 0..3 {
        // SAFETY: the fiber is new or suspended.
        let _ = unsafe { resume(block, payload(1)) };
        // SAFETY: the fiber is suspended.
        assert!(!unsafe { (*block).is_fresh() });
    }
    // SAFETY: the fiber's frames are abandoned, they own nothing; a new one begins at the same place.
    unsafe { ControlBlock::init(block, spawn(echo).cast(), echo) };
    // SAFETY: as above.
    assert!(unsafe { (*block).is_fresh() }, "made anew");
}

#[test]
fn a_block_that_belongs_to_no_fiber_is_not_fresh_and_has_no_stack_pointer() {
    for block in [ControlBlock::new(), ControlBlock::default()] {
        assert!(!block.is_fresh());
        assert!(block.own().stack_pointer().is_null());
    }
}

#[test]
#[cfg_attr(any(miri, kfiber_threads), ignore = "threads keep a baton there")]
fn the_stack_pointer_of_a_suspended_fiber_lies_on_its_stack() {
    let block = spawn(echo);
    // SAFETY: nobody else uses the block.
    let begin = unsafe { (*block).own() }.stack_pointer();
    assert!(ptr::eq(begin, block.cast()), "where it will begin");
    // SAFETY: the fiber is new.
    let _ = unsafe { resume(block, payload(1)) };
    // SAFETY: the fiber is suspended.
    let depth = block.addr() - unsafe { (*block).own() }.stack_pointer().addr();
    assert!(
        (8..super::STACK_BYTES).contains(&depth),
        "{depth} bytes below the block"
    );
}

#[test]
fn a_fiber_first_entered_by_a_switch_leaves_its_parent_alone() {
    unsafe extern "sysv64" fn back(first: Payload, block: *mut ControlBlock) -> Payload {
        let root = super::pointer::<ControlBlock>(first).cast_mut();
        // SAFETY: the root waits in its block.
        let _ = unsafe { switch(block, root, payload(77)) };
        unreachable!("nobody switches to it again")
    }
    let (block, root) = (spawn(back), root());
    // SAFETY: the fiber is new.
    let transfer = unsafe { switch(root, block, super::address(root)) };
    assert_eq!((word(transfer.payload), transfer.tag), (77, block));
}

#[test]
fn new_fibers_can_be_made_on_the_same_memory_at_once() {
    const ROUNDS: usize = if cfg!(any(miri, kfiber_threads)) {
        20
    } else {
        100_000
    };
    let block = spawn(own_block);
    for _ in 0..ROUNDS {
        // SAFETY: the fiber has ended, or never ran.
        unsafe { ControlBlock::init(block, block.cast(), own_block) };
        // SAFETY: the fiber is new.
        let transfer = unsafe { resume(block, payload(0)) };
        assert!(transfer.tag.is_null());
    }
}
