//! A backtrace at every instruction of a yield that runs the fiber which an interrupt has woken: first
//! through the fiber that is left, and from the switch on through the other.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicU64, Ordering};

use kfiber::scheduler::{Priority, park, yield_now};
use tests_qemu::exceptions::{self, TrapFrame};
use tests_qemu::{cpu, kernel_test, println, start_info};
use tests_unwind::{Entry, Registers, Unwinder};
use x86_64::registers::rflags::RFlags;

use super::{CELLS, SCHEDULER, run_with_interrupts, spawn};

const DEBUG: u8 = 1;
const MAX_FUNCTIONS: usize = 32 * 1024;
/// An offset that fibers of the scheduler's cells never have between two places of one stack.
const NEAR: u64 = 4096;

struct Watch {
    unwinder: Unwinder,
    /// The functions that yield and park, and what the walks found in their frames: `None` before the first.
    sides: [(u64, Option<Registers>); 2],
    /// Steps on either side, outside of these functions.
    steps: [u64; 2],
    wrong: u64,
    /// Behind `pushfq` in inline assembly, the compiler's rules do not know of the word on the stack.
    is_after_pushfq: bool,
}

struct State(UnsafeCell<MaybeUninit<Watch>>);

// SAFETY: One processor; the test fills it before the steps begin, and reads it when they have ended.
unsafe impl Sync for State {}

static STATE: State = State(UnsafeCell::new(MaybeUninit::uninit()));

struct Room(UnsafeCell<[Entry; MAX_FUNCTIONS]>);

// SAFETY: Only the test takes it, once.
unsafe impl Sync for Room {}

static ROOM: Room = Room(UnsafeCell::new([Entry::NONE; MAX_FUNCTIONS]));

/// Where the stacks of the two fibers are.
static STACKS: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

const fn state() -> &'static mut Watch {
    // SAFETY: See `Sync` above; no reference is kept across the uses.
    let watch = unsafe { &mut *STATE.0.get() };
    // SAFETY: the test initialises it before the first step.
    unsafe { watch.assume_init_mut() }
}

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

fn on_step(frame: &mut TrapFrame) {
    let watch = state();
    let is_after_pushfq = watch.is_after_pushfq;
    // SAFETY: The byte that the processor is about to execute.
    watch.is_after_pushfq = unsafe { *(frame.rip as *const u8) } == 0x9c;
    if is_after_pushfq {
        return;
    }
    let innermost = watch.unwinder.function(frame.rip);
    let is_near = |stack: &AtomicU64| stack.load(Ordering::Relaxed).abs_diff(frame.rsp) < NEAR;
    let Some(side) = STACKS.iter().position(is_near) else {
        watch.wrong += 1;
        return println!("rsp={:#x} is in neither stack", frame.rsp);
    };
    let (function, known) = watch.sides[side];
    let f = &*frame;
    let start = Registers::interrupted([
        f.rax, f.rdx, f.rcx, f.rbx, f.rsi, f.rdi, f.rbp, f.rsp, f.r8, f.r9, f.r10, f.r11, f.r12,
        f.r13, f.r14, f.r15, f.rip,
    ]);
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
    let walked = unwinder.walk(start, |caller| {
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
    let section = start_info::module().expect("the runner passes `.debug_frame` as a module");
    // SAFETY: It is taken here only, and the test loads once.
    let unwinder = Unwinder::new(section, unsafe { &mut *ROOM.0.get() });
    let at = |function: u64| (function, None);
    // SAFETY: Nobody else uses it yet.
    let slot = unsafe { &mut *STATE.0.get() };
    slot.write(Watch {
        unwinder,
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
    let Watch { steps, wrong, .. } = state();
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
