//! The slot directly below the control block. It holds a fiber's closure until the first resume,
//! and its result until the last resume has read it.

use crate::context::ControlBlock;
use crate::stack::{FLOOR_BYTES, STACK_ALIGN};
use core::mem::ManuallyDrop;

/// A closure or a result, aligned so that the stack may begin directly below it.
///
/// The result needs its own place, because an interrupt may overwrite the frame of the function
/// that returned it before the resumer has read it.
#[repr(C, align(16))]
pub(super) union Slot<F, R> {
    closure: ManuallyDrop<F>,
    result: ManuallyDrop<R>,
}

const _: () = assert!(align_of::<Slot<(), ()>>() == STACK_ALIGN);

/// The number of bytes that remain for further frames when a closure is as large as its stack
/// allows.
const MIN_FRAMES_BYTES: usize = 512;

impl<F, R> Slot<F, R> {
    /// Returns the number of bytes that a stack needs for this closure and result, and for the
    /// first value of type `I`. They consist of the slot, the block, the floor, and a first frame
    /// that holds each of the three values once, since they are moved to and from there.
    pub(super) const fn needed_bytes<I>() -> usize {
        // What is lost by aligning down: once for the slot, once for the frame.
        let slot = size_of::<Self>() + align_of::<Self>() - STACK_ALIGN;
        let mut frame_align = align_of::<Self>();
        if align_of::<I>() > frame_align {
            frame_align = align_of::<I>();
        }
        let frame = size_of::<F>() + size_of::<R>() + size_of::<I>() + frame_align - STACK_ALIGN;
        slot + frame + size_of::<ControlBlock>() + FLOOR_BYTES + MIN_FRAMES_BYTES
    }

    pub(super) const fn new(closure: F) -> Self {
        Self {
            closure: ManuallyDrop::new(closure),
        }
    }

    /// Returns the slot of the fiber with this block: the highest aligned address below the block
    /// that leaves room for the slot.
    #[inline(always)]
    pub(super) fn below(block: *mut ControlBlock) -> *mut Self {
        let end: *mut u8 = block.cast();
        end.wrapping_sub(size_of::<Self>())
            .map_addr(|address| address & !(align_of::<Self>() - 1))
            .cast()
    }

    /// Moves the closure out and returns it.
    ///
    /// # Safety
    ///
    /// The slot of `block` holds a closure, which is moved or dropped only once.
    #[inline(always)]
    pub(super) unsafe fn take_closure(block: *mut ControlBlock) -> F {
        // SAFETY: the caller vouches for the slot; the fields of a C union begin where it begins.
        unsafe { Self::below(block).cast::<F>().read() }
    }

    /// Drops the closure in place.
    ///
    /// # Safety
    ///
    /// The requirements are those of [`take_closure`](Self::take_closure).
    pub(super) unsafe fn drop_closure(block: *mut ControlBlock) {
        // SAFETY: the caller vouches for the slot; the fields of a C union begin where it begins.
        unsafe { Self::below(block).cast::<F>().drop_in_place() };
    }

    /// Writes the result into the slot and returns its address.
    ///
    /// # Safety
    ///
    /// The slot of `block` belongs to a running fiber, whose closure was moved out.
    #[inline(always)]
    pub(super) unsafe fn put_result(block: *mut ControlBlock, result: R) -> *const ManuallyDrop<R> {
        let place = Self::below(block).cast::<ManuallyDrop<R>>();
        // SAFETY: the caller vouches for the slot; nothing else refers to it.
        unsafe { place.write(ManuallyDrop::new(result)) };
        place
    }
}
