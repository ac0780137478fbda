//! The switch alone, without a scheduler: there and back, halved.

use core::cell::UnsafeCell;

use kfiber::context::{self, ControlBlock, Payload};

use crate::counter::measure_here;

/// A block in a static, since the body finds it there.
struct Block(UnsafeCell<ControlBlock>);

// SAFETY: there is one core, and no interrupt handler knows of it.
unsafe impl Sync for Block {}

static MAIN: Block = Block(UnsafeCell::new(ControlBlock::new()));
static OTHER: Block = Block(UnsafeCell::new(ControlBlock::new()));
static RESUMED: Block = Block(UnsafeCell::new(ControlBlock::new()));

#[repr(C, align(64))]
struct Stack(UnsafeCell<[u8; 4096]>);

// SAFETY: only the fiber that is made of it uses it.
unsafe impl Sync for Stack {}

impl Stack {
    const fn top(&self) -> *mut u8 {
        self.0.get().cast::<u8>().wrapping_add(4096)
    }
}

static STACKS: [Stack; 2] = [const { Stack(UnsafeCell::new([0; 4096])) }; 2];

unsafe extern "sysv64" fn suspends(payload: Payload, block: *mut ControlBlock) -> Payload {
    loop {
        // SAFETY: this runs on the fiber of the block, which is entered by `resume` alone.
        unsafe { context::suspend(block, payload) };
    }
}

unsafe extern "sysv64" fn switches(payload: Payload, block: *mut ControlBlock) -> Payload {
    loop {
        // SAFETY: `MAIN` left by the switch that came here, and nobody else continues it.
        unsafe { context::switch(block, MAIN.0.get(), payload) };
    }
}

pub(crate) fn measure() {
    // SAFETY: C1, C3: all is in statics that are used for this alone, and the body does not unwind.
    unsafe { ControlBlock::init(RESUMED.0.get(), STACKS[0].top(), suspends) };
    // SAFETY: as above.
    unsafe { ControlBlock::init(OTHER.0.get(), STACKS[1].top(), switches) };
    measure_here("resume_suspend", 2, || {
        // SAFETY: C1, C2: it is new, or has suspended itself.
        unsafe { context::resume(RESUMED.0.get(), Payload::new(0)) };
    });
    measure_here("switch", 2, || {
        // SAFETY: C1, C2: it is new, or has left by a switch.
        unsafe { context::switch(MAIN.0.get(), OTHER.0.get(), Payload::new(0)) };
    });
}
