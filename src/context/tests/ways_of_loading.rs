//! Both ways of loading MXCSR keep the control words of both sides, whatever the processor prefers.

use super::super::{ControlBlock, Payload, mxcsr, resume, suspend};
use super::spawn;
use core::arch::asm;

/// MXCSR and the x87 control word that round to nearest, down and up.
const NEAREST: Words = (0x1f80, 0x037f);
const DOWN: Words = (0x1f80 | 1 << 13, 0x037f | 1 << 10);
const UP: Words = (0x1f80 | 2 << 13, 0x037f | 2 << 10);

type Words = (u32, u16);

fn set((mxcsr, x87): Words) {
    // SAFETY: all exceptions stay masked, and nothing here computes with fractions.
    unsafe { asm!("ldmxcsr [{}]", in(reg) &raw const mxcsr, options(nostack)) };
    // SAFETY: as above.
    unsafe { asm!("fldcw [{}]", in(reg) &raw const x87, options(nostack)) };
}

/// The control bits only.
fn get() -> Words {
    let (mut mxcsr, mut x87) = (0_u32, 0_u16);
    // SAFETY: stores a word in a local.
    unsafe { asm!("stmxcsr [{}]", in(reg) &raw mut mxcsr, options(nostack)) };
    // SAFETY: as above.
    unsafe { asm!("fnstcw [{}]", in(reg) &raw mut x87, options(nostack)) };
    (mxcsr & !0x3f, x87)
}

/// Sends the words that it finds, and then rounds up.
unsafe extern "sysv64" fn round_up(_: Payload, block: *mut ControlBlock) -> Payload {
    loop {
        let (mxcsr, x87) = get();
        set(UP);
        let found = mxcsr as usize | usize::from(x87) << 32;
        // SAFETY: runs on the fiber of this block.
        let _ = unsafe { suspend(block, Payload::new(found)) };
    }
}

#[test]
fn each_way_keeps_the_words_of_both_sides() {
    for (own, parent) in [
        (mxcsr::COMPARE, mxcsr::COMPARE),
        (mxcsr::COMPARE, mxcsr::ALWAYS_LOAD),
        (mxcsr::ALWAYS_LOAD, mxcsr::COMPARE),
        (mxcsr::ALWAYS_LOAD, mxcsr::ALWAYS_LOAD),
    ] {
        let block = spawn(round_up);
        // SAFETY: the fiber is new.
        unsafe { (*block).own.fp.always_load = own };
        // SAFETY: as above.
        unsafe { (*block).parent.fp.always_load = parent };
        for (mine, theirs) in [(DOWN, NEAREST), (UP, UP), (DOWN, UP), (NEAREST, UP)] {
            set(mine);
            // SAFETY: the fiber is new or suspended.
            let transfer = unsafe { resume(block, Payload::new(0)) };
            let kept = get();
            set(NEAREST);
            // SAFETY: the payload is a word.
            let found = unsafe { transfer.payload.assume_init() };
            assert_eq!(kept, mine, "the resumer's");
            let expected = theirs.0 as usize | usize::from(theirs.1) << 32;
            assert_eq!(found, expected, "the fiber's");
        }
    }
}

#[test]
fn a_new_fiber_knows_the_way_of_this_processor() {
    let block = spawn(round_up);
    let way = mxcsr::way();
    assert!([mxcsr::COMPARE, mxcsr::ALWAYS_LOAD].contains(&way));
    // SAFETY: the fiber is new.
    assert_eq!(unsafe { (*block).own.fp.always_load }, way);
    // SAFETY: as above.
    assert_eq!(unsafe { (*block).parent.fp.always_load }, way);
}
