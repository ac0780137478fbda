//! Leaving a fiber for good: what is called afterwards runs on the other's stack, once, and the other goes on unharmed.

use super::{STACK_BYTES, payload, root, spawn, word};
use core::cell::Cell;
use kfiber::context::{ControlBlock, Payload, leave, switch};
use std::thread_local;

thread_local! {
    static ROOT: Cell<*mut ControlBlock> = const { Cell::new(core::ptr::null_mut()) };
    /// Where control goes when a fiber leaves.
    static NEXT: Cell<*mut ControlBlock> = const { Cell::new(core::ptr::null_mut()) };
    /// Who left, and an address in the frame of what was called for it.
    static AFTER: Cell<[usize; 2]> = const { Cell::new([0; 2]) };
}

unsafe extern "sysv64" fn after(left: *mut ControlBlock) {
    let local = 0_u128;
    assert!((&raw const local).is_aligned(), "the stack is not");
    assert_eq!(AFTER.get(), [0; 2], "once");
    AFTER.set([left.addr(), (&raw const local).addr()]);
}

unsafe extern "sysv64" fn leaves(_: Payload, block: *mut ControlBlock) -> Payload {
    // SAFETY: root, or a fiber that was left by a switch or is new; nothing here is wanted any more.
    unsafe { leave(NEXT.get(), after, block) }
}

unsafe extern "sysv64" fn goes_back(first: Payload, block: *mut ControlBlock) -> Payload {
    assert_eq!(word(first), 0);
    assert_ne!(AFTER.get(), [0; 2], "before the other goes on");
    // SAFETY: root was left by a switch.
    unsafe { switch(block, ROOT.get(), payload(7)) };
    unreachable!("nobody switches back")
}

fn is_on_stack_of(address: usize, block: *mut ControlBlock) -> bool {
    let top = block.addr();
    (top - STACK_BYTES..top).contains(&address)
}

#[test]
fn what_is_called_after_the_last_switch_runs_on_the_stack_of_the_one_that_goes_on() {
    let kept = core::hint::black_box([3_u64, 5, 7, 11]);
    let fiber = spawn(leaves);
    let root = root();
    NEXT.set(root);
    // SAFETY: the fiber is new.
    let transfer = unsafe { switch(root, fiber, payload(1)) };
    assert!(transfer.tag.is_null(), "it left for good");
    let [left, at] = AFTER.take();
    assert_eq!(left, fiber.addr());
    assert!(!is_on_stack_of(at, fiber));
    assert_eq!(kept, [3, 5, 7, 11]);
}

#[test]
fn a_new_fiber_can_be_the_one_that_goes_on() {
    let (fiber, next) = (spawn(leaves), spawn(goes_back));
    ROOT.set(root());
    NEXT.set(next);
    // SAFETY: the fiber is new.
    let transfer = unsafe { switch(ROOT.get(), fiber, payload(1)) };
    assert_eq!(transfer.tag, next);
    assert_eq!(word(transfer.payload), 7);
    let [left, at] = AFTER.take();
    assert_eq!(left, fiber.addr());
    assert!(is_on_stack_of(at, next));
}
