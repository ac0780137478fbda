//! The floating-point control words cross every form of the switch, the out-of-line one too.
#![cfg(all(not(miri), feature = "fp-control"))]

use super::{
    ControlBlock, Payload, contexts, payload, pointer, resume, spawn, suspend, switch_out_of_line,
};
use core::arch::asm;

/// MXCSR and the x87 control word.
type Words = (u32, u16);

const INITIAL: Words = (0x1f80, 0x037f);
/// Rounding down in both units, and rounding up.
const DOWN: Words = (0x1f80 | 1 << 13, 0x037f | 1 << 10);
const UP: Words = (0x1f80 | 2 << 13, 0x037f | 2 << 10);

fn set((mxcsr, x87): Words) {
    // SAFETY: all exceptions stay masked, and nothing here computes with fractions.
    unsafe { asm!("ldmxcsr [{}]", in(reg) &raw const mxcsr, options(nostack)) };
    // SAFETY: as above.
    unsafe { asm!("fldcw [{}]", in(reg) &raw const x87, options(nostack)) };
}

fn get() -> Words {
    let (mut mxcsr, mut x87) = (0_u32, 0_u16);
    // SAFETY: stores a word in a local.
    unsafe { asm!("stmxcsr [{}]", in(reg) &raw mut mxcsr, options(nostack)) };
    // SAFETY: as above.
    unsafe { asm!("fnstcw [{}]", in(reg) &raw mut x87, options(nostack)) };
    (mxcsr & !0x3f, x87)
}

/// What the fiber is told, and what it found.
struct Side {
    leaves_out_of_line: bool,
    found: Words,
}

/// Notes the words that it finds, then rounds up, and goes back as it is told.
unsafe extern "sysv64" fn round_up(first: Payload, block: *mut ControlBlock) -> Payload {
    let side = pointer::<Side>(first).cast_mut();
    loop {
        let found = get();
        // SAFETY: the root keeps the side while we run.
        unsafe { (*side).found = found };
        set(UP);
        // SAFETY: as above.
        if unsafe { (*side).leaves_out_of_line } {
            let (parent, own) = contexts(block);
            // SAFETY: runs on the fiber of `block`, which was entered by a resume.
            let _ = unsafe { switch_out_of_line(payload(0), block, own, parent) };
        } else {
            // SAFETY: as above.
            let _ = unsafe { suspend(block, payload(0)) };
        }
    }
}

#[test]
#[cfg_attr(kfiber_threads, ignore = "a new thread begins as its maker is")]
fn control_words_stay_with_their_side_whatever_the_form() {
    for (enters_out_of_line, leaves_out_of_line) in
        [(false, false), (false, true), (true, false), (true, true)]
    {
        let block = spawn(round_up);
        let (parent, own) = contexts(block);
        let side = Box::into_raw(Box::new(Side {
            leaves_out_of_line,
            found: (0, 0),
        }));
        for expected in [INITIAL, UP, UP] {
            set(DOWN);
            if enters_out_of_line {
                // SAFETY: the fiber is new or suspended.
                let _ = unsafe { switch_out_of_line(super::address(side), block, parent, own) };
            } else {
                // SAFETY: as above.
                let _ = unsafe { resume(block, super::address(side)) };
            }
            let mine = get();
            set(INITIAL);
            let forms = (enters_out_of_line, leaves_out_of_line);
            assert_eq!(mine, DOWN, "the resumer's, out of line: {forms:?}");
            // SAFETY: the fiber is suspended.
            let theirs = unsafe { (*side).found };
            assert_eq!(theirs, expected, "the fiber's, out of line: {forms:?}");
        }
    }
}
