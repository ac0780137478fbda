//! A backtrace at every instruction of a yield that runs the fiber which an interrupt has woken: first
//! through the fiber that is left, and from the switch on through the other.

use core::sync::atomic::{AtomicU64, Ordering};

use kfiber::scheduler::{Priority, park, yield_now};
use tests_qemu::exceptions::{self, TrapFrame};
use tests_qemu::{cpu, kernel_test, println};
use tests_unwind::{Registers, Unwinder};
use x86_64::registers::rflags::RFlags;

use super::{CELLS, SCHEDULER, run_with_interrupts, spawn};
use crate::unwinding::{DEBUG, Kept, interrupted, is_at_pushfq, unwinder};

/// An offset that fibers of the scheduler's cells never have between two places of one stack.
const NEAR: u64 = 4096;

struct Watch {
    unwinder: Unwinder,
    /// The functions that yield and park, and what the walks found in their frames: `None` before the first.
    sides: [(u64, Option<Registers>); 2],
    /// Steps on either side, outside of these functions.
    steps: [u64; 2],
    wrong: u64,
    is_after_pushfq: bool,
}

static WATCH: Kept<Watch> = Kept::nothing();

/// Where the stacks of the two fibers are.
static STACKS: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

#[inline(never)]
fn yields() {
    yield_now();
}

#[inline(never)]
fn parks() -> bool {
    park().is_ok()
}

fn note_stack(side: usize) {
    let here = 0_u8;
    STACKS[side].store((&raw const here).addr() as u64, Ordering::Relaxed);
}

/// The stack pointer of the fiber that a walk finds. The end of a switch loads it with its first instruction, and
/// before that the caller is the fiber to come already.
fn stack_pointer(frame: &TrapFrame) -> u64 {
    // SAFETY: The instruction that the processor is about to execute.
    match unsafe { (frame.rip as *const [u8; 4]).read() } {
        [0x49, 0x8b, 0x62, 0x30] => tests_unwind::read(frame.r10 + 0x30).expect("it was saved"), // mov rsp, [r10 + 0x30]
        _ => frame.rsp,
    }
}

fn on_step(frame: &mut TrapFrame) {
    let watch = WATCH.get();
    if core::mem::replace(&mut watch.is_after_pushfq, is_at_pushfq(frame)) {
        return;
    }
    let innermost = watch.unwinder.function(frame.rip);
    let sp = stack_pointer(frame);
    let is_near = |stack: &AtomicU64| stack.load(Ordering::Relaxed).abs_diff(sp) < NEAR;
    let Some(side) = STACKS.iter().position(is_near) else {
        watch.wrong += 1;
        return println!("rsp={sp:#x} is in neither stack");
    };
    let (function, known) = watch.sides[side];
    if innermost == Some(function) {
        if side == 1 && known.is_some() {
            // It goes on with what every walk has found.
            watch.wrong += u64::from(known.is_none_or(|known| known.ip() != frame.rip));
            frame.rflags &= !RFlags::TRAP_FLAG.bits();
        }
        if side == 0 {
            watch.sides[0].1 = None; // what is called next is called from elsewhere
        }
        return;
    }
    let mut found = None;
    let mut callers = 0;
    let (unwinder, is_in) = (&mut watch.unwinder, function..function + 0x400);
    let walked = unwinder.walk(interrupted(frame), |caller| {
        callers += 1;
        if found.is_none() && is_in.contains(&caller.ip()) {
            found = Some(*caller);
        }
        true
    });
    if side == 0 && known.is_none() && found.is_none() {
        return; // it does not yield yet
    }
    watch.steps[side] += 1;
    let is_right = found.is_some() && (known.is_none() || known == found);
    if walked.is_err() || !is_right || callers < 3 {
        watch.wrong += 1;
        println!(
            "wrong at rip={:#x} in {innermost:x?}, side {side}: {walked:?}, {callers} callers, {found:x?} {known:x?}",
            frame.rip
        );
    }
    watch.sides[side].1 = known.or(found);
}

fn load() {
    let at = |function: u64| (function, None);
    WATCH.fill(Watch {
        unwinder: unwinder(),
        sides: [
            at(yields as *const () as u64),
            at(parks as *const () as u64),
        ],
        steps: [0; 2],
        wrong: 0,
        is_after_pushfq: false,
    });
    exceptions::hook(DEBUG, on_step);
}

/// Walks while a fiber yields to one that it has woken, or to one of two. Then the yield cannot take the
/// shortest way, and chooses.
fn walk_through_a_yield(wakes_two: bool) {
    load();
    let urgent = SCHEDULER
        .builder()
        .priority(Priority::HIGHEST)
        .spawn(&CELLS, || {
            note_stack(1);
            while parks() {}
        });
    let urgent = urgent.expect("a cell is free");
    let other = spawn(|| while park().is_ok() {});
    let unparkers = [urgent.unparker(), other.unparker()];
    let fiber = spawn(move || {
        note_stack(0);
        yield_now(); // until the others are parked
        for unparker in &unparkers[..1 + usize::from(wakes_two)] {
            assert!(unparker.unpark());
        }
        // SAFETY: the direction flag stays clear, and the handler is in its place.
        unsafe { cpu::set_flags(RFlags::TRAP_FLAG) };
        yields();
        // SAFETY: nobody relies on single steps from here on.
        unsafe { cpu::clear_flags(RFlags::TRAP_FLAG) };
        urgent.cancel();
        other.cancel();
    });
    run_with_interrupts();
    assert!(fiber.try_join().is_ok());
    let Watch { steps, wrong, .. } = WATCH.get();
    println!("steps={steps:?} wrong={wrong}");
    assert_eq!(*wrong, 0, "wrong walks");
    let expected = if wakes_two { 90 } else { 30 };
    assert!(
        steps[0] >= expected && steps[1] >= 3,
        "too few steps: {steps:?}"
    );
}

kernel_test! {
    fn at_every_instruction_of_a_preemption_a_backtrace_goes_through_one_of_the_two_fibers() debug_frame timeout(60) {
        walk_through_a_yield(false);
    }

    fn at_every_instruction_of_a_yield_that_chooses_a_backtrace_goes_through_one_of_the_two_fibers() debug_frame timeout(60) {
        walk_through_a_yield(true);
    }
}
