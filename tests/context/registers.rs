//! The callee-saved registers survive each form of the switch, on both sides, with patterns that no one else has.
#![cfg(not(miri))]

use super::{
    ControlBlock, Payload, contexts, payload, resume, root, spawn, suspend, switch,
    switch_out_of_line,
};
use core::arch::naked_asm;

/// Loads the six registers with `seed` + 1 to 6, calls `call(argument)`, and returns a bit for each that changed:
/// bit 1 for rbx, then rbp, r12, r13, r14, r15.
#[unsafe(naked)]
unsafe extern "sysv64" fn changed_by(
    call: unsafe extern "sysv64" fn(*mut Side),
    argument: *mut Side,
    seed: u64,
) -> u64 {
    naked_asm!(
        "push rbx",
        "push rbp",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "push rdx", // and aligns the stack
        "lea rbx, [rdx + 1]",
        "lea rbp, [rdx + 2]",
        "lea r12, [rdx + 3]",
        "lea r13, [rdx + 4]",
        "lea r14, [rdx + 5]",
        "lea r15, [rdx + 6]",
        "mov rax, rdi",
        "mov rdi, rsi",
        "call rax",
        "pop rdx",
        "xor eax, eax",
        "lea rcx, [rdx + 1]",
        "cmp rcx, rbx",
        "setne cl",
        "movzx ecx, cl",
        "shl ecx, 1",
        "or eax, ecx",
        "lea rcx, [rdx + 2]",
        "cmp rcx, rbp",
        "setne cl",
        "movzx ecx, cl",
        "shl ecx, 2",
        "or eax, ecx",
        "lea rcx, [rdx + 3]",
        "cmp rcx, r12",
        "setne cl",
        "movzx ecx, cl",
        "shl ecx, 3",
        "or eax, ecx",
        "lea rcx, [rdx + 4]",
        "cmp rcx, r13",
        "setne cl",
        "movzx ecx, cl",
        "shl ecx, 4",
        "or eax, ecx",
        "lea rcx, [rdx + 5]",
        "cmp rcx, r14",
        "setne cl",
        "movzx ecx, cl",
        "shl ecx, 5",
        "or eax, ecx",
        "lea rcx, [rdx + 6]",
        "cmp rcx, r15",
        "setne cl",
        "movzx ecx, cl",
        "shl ecx, 6",
        "or eax, ecx",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbp",
        "pop rbx",
        "ret",
    )
}

/// What a call that switches needs to know.
struct Side {
    block: *mut ControlBlock,
    root: *mut ControlBlock,
    /// Registers that changed on the fiber's side.
    changed: u64,
}

type Call = unsafe extern "sysv64" fn(*mut Side);

macro_rules! call {
    ($name:ident, |$block:ident, $root:ident, $word:ident| $switch:expr) => {
        unsafe extern "sysv64" fn $name(side: *mut Side) {
            // SAFETY: the address of a `Side` that outlives the call.
            let at = unsafe { &*side };
            let ($block, $root) = (at.block, at.root);
            let $word = super::address(side);
            // SAFETY: the form fits the one that the other side uses.
            let _ = unsafe { $switch };
        }
    };
}

call!(by_resume, |block, _root, word| resume(block, word));
call!(by_switch, |block, root, word| switch(root, block, word));
call!(by_suspend, |block, _root, word| suspend(block, word));
call!(by_switch_back, |block, root, word| switch(
    block, root, word
));
call!(in_out_of_line, |block, _root, word| {
    let (parent, own) = contexts(block);
    switch_out_of_line(word, block, parent, own)
});
call!(back_out_of_line, |block, _root, word| {
    let (parent, own) = contexts(block);
    switch_out_of_line(word, block, own, parent)
});
call!(over_out_of_line, |block, root, word| {
    switch_out_of_line(word, root, contexts(root).1, contexts(block).1)
});
call!(over_back_out_of_line, |block, root, word| {
    switch_out_of_line(word, block, contexts(block).1, contexts(root).1)
});

/// Goes back with `BACK`, one of the calls above, for ever, its own registers full of patterns.
macro_rules! body {
    ($name:ident, $back:ident) => {
        unsafe extern "sysv64" fn $name(first: Payload, _: *mut ControlBlock) -> Payload {
            let side = super::pointer::<Side>(first).cast_mut();
            let mut seed = 0xf1be_0000_0000_0000;
            loop {
                seed += 0x1001;
                // SAFETY: the root keeps the side while we run, and does not touch it.
                let changed = unsafe { changed_by($back, side, seed) };
                // SAFETY: as above.
                unsafe { (*side).changed |= changed };
            }
        }
    };
}

body!(suspending, by_suspend);
body!(suspending_out_of_line, back_out_of_line);
body!(switching, by_switch_back);
body!(switching_out_of_line, over_back_out_of_line);

fn check(enter: Call, body: kfiber::context::Body) {
    const ROUNDS: u64 = if cfg!(kfiber_threads) { 50 } else { 10_000 };
    let side = Box::into_raw(Box::new(Side {
        block: spawn(body),
        root: root(),
        changed: 0,
    }));
    for round in 0..ROUNDS {
        let seed = 0x00ca_11ee_0000_0000_u64
            .rotate_left(round.trailing_zeros())
            .wrapping_add(round);
        // SAFETY: `enter` and `body` meet in the same contexts; the side is leaked.
        let changed = unsafe { changed_by(enter, side, seed) };
        assert_eq!(
            changed, 0,
            "bits of registers that changed in the resumer, round {round}"
        );
        // SAFETY: the fiber does not run.
        let changed = unsafe { (*side).changed };
        assert_eq!(
            changed, 0,
            "bits of registers that changed in the fiber, round {round}"
        );
    }
}

#[test]
fn registers_survive_resume_and_suspend() {
    check(by_resume, suspending);
}

#[test]
fn registers_survive_resume_and_an_out_of_line_suspension() {
    check(by_resume, suspending_out_of_line);
}

#[test]
fn registers_survive_an_out_of_line_resume_and_a_suspend() {
    check(in_out_of_line, suspending);
}

#[test]
fn registers_survive_the_out_of_line_switch_both_ways() {
    check(in_out_of_line, suspending_out_of_line);
}

#[test]
fn registers_survive_a_switch_and_a_switch_back() {
    check(by_switch, switching);
}

#[test]
fn registers_survive_a_switch_and_an_out_of_line_switch_back() {
    check(by_switch, switching_out_of_line);
}

#[test]
fn registers_survive_an_out_of_line_switch_and_a_switch_back() {
    check(over_out_of_line, switching);
}

#[test]
fn registers_survive_out_of_line_switches_between_two_own_contexts() {
    check(over_out_of_line, switching_out_of_line);
}

#[test]
fn registers_survive_a_fiber_that_returns() {
    /// Returns with all callee-saved registers as its caller had them, which is `base`, that has none to keep.
    unsafe extern "sysv64" fn ending(_: Payload, _: *mut ControlBlock) -> Payload {
        payload(0)
    }
    for seed in [
        0,
        0x5555_5555_5555_0000,
        0xaaaa_aaaa_aaaa_0000,
        u64::MAX << 16,
    ] {
        for enter in [by_resume as Call, in_out_of_line] {
            let mut side = Side {
                block: spawn(ending),
                root: root(),
                changed: 0,
            };
            // SAFETY: the fiber is new.
            let changed = unsafe { changed_by(enter, &raw mut side, seed) };
            assert_eq!(changed, 0);
        }
    }
}
