//! Tests of what only the module itself can see: the contents of a control block, and the code to
//! which it points.

#[cfg(all(feature = "fp-control", target_feature = "sse"))]
mod ways_of_loading;

extern crate std;

use super::{Context, ControlBlock, Payload, backend, resume, suspend};
use core::mem::offset_of;
use core::ptr;
use std::boxed::Box;

const ENDBR64: [u8; 4] = [0xf3, 0x0f, 0x1e, 0xfa];
const NOP: u8 = 0x90;

/// Returns the bytes of code at an address.
fn code<const N: usize>(at: *const ()) -> [u8; N] {
    // SAFETY: the callers pass addresses in functions of this crate.
    unsafe { at.cast::<[u8; N]>().read() }
}

/// Returns the block of a fiber with its own stack.
fn spawn(body: super::Body) -> *mut ControlBlock {
    let end = Box::leak(Box::new([0_u128; 4096]))
        .as_mut_ptr()
        .wrapping_add(4096);
    let block = Box::into_raw(Box::new(ControlBlock::new()));
    // SAFETY: both are leaked and nobody else's.
    unsafe { ControlBlock::init(block, end.cast(), body) };
    block
}

/// Sends the caller's record as it is while the fiber runs, and then ends.
unsafe extern "sysv64" fn report_parent(_: Payload, block: *mut ControlBlock) -> Payload {
    // SAFETY: nobody writes to the block while we run.
    let while_running = unsafe { (*block).parent.record.ip };
    // SAFETY: runs on the fiber of this block.
    let _ = unsafe { suspend(block, Payload::new(while_running.addr())) };
    // SAFETY: as above.
    Payload::new(unsafe { (*block).parent.record.ip }.addr())
}

#[test]
fn a_block_is_laid_out_as_it_is_drawn() {
    assert_eq!(offset_of!(ControlBlock, parent), 0);
    assert_eq!(offset_of!(ControlBlock, own), size_of::<Context>());
    assert_eq!(offset_of!(Context, record), 0);
    assert_eq!(offset_of!(Context, sp), 16);
    assert_eq!(offset_of!(Context, rbx), 24);
    assert_eq!(align_of::<ControlBlock>(), 64);
}

#[test]
fn a_fiber_begins_at_a_branch_target_one_byte_into_its_first_frame() {
    let block = spawn(report_parent);
    // SAFETY: nobody else uses the block.
    let begin = unsafe { (*block).own.record.ip };
    assert_eq!(code(begin), ENDBR64);
    assert_eq!(code(begin.wrapping_byte_sub(1)), [NOP]);
}

#[test]
fn each_side_goes_on_at_a_branch_target() {
    let block = spawn(report_parent);
    // SAFETY: the fiber is new.
    let transfer = unsafe { resume(block, Payload::new(0)) };
    // SAFETY: the fiber is suspended.
    let own = unsafe { (*block).own.record.ip };
    // SAFETY: the payload is a word.
    let parent = unsafe { transfer.payload.assume_init() };
    assert_eq!(code(own), ENDBR64);
    assert_eq!(code(ptr::with_exposed_provenance(parent)), ENDBR64);
}

#[test]
fn behind_a_fiber_that_is_new_or_marked_as_suspended_a_backtrace_ends() {
    let block = spawn(report_parent);
    let record = || {
        // SAFETY: nobody else uses the block.
        let record = unsafe { (*block).parent.record };
        (record.rbp.addr(), record.ip)
    };
    let end = (0, backend::suspended_marker());
    assert_eq!(record(), end, "new");
    // SAFETY: the fiber is new.
    let transfer = unsafe { resume(block, Payload::new(0)) };
    assert_ne!(record(), end, "until the resumer marks it");
    // SAFETY: the fiber is suspended.
    unsafe { ControlBlock::mark_suspended(transfer.tag) };
    assert_eq!(record(), end, "suspended");
    // SAFETY: the fiber is suspended.
    let transfer = unsafe { resume(block, Payload::new(0)) };
    // SAFETY: the payload is a word.
    let while_running = unsafe { transfer.payload.assume_init() };
    assert_ne!(
        while_running,
        end.1.addr(),
        "and leads to the resumer while it runs"
    );
}
