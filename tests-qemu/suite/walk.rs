//! One instruction at a time through randomised switches: at each, rsp lies in a known stack and all canaries stand.

use core::{
    cell::UnsafeCell,
    sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering},
};

use tests_qemu::{
    boot, command_line, cpu,
    exceptions::{self, TrapFrame},
    kernel_test, println,
};
use x86_64::registers::rflags::RFlags;

use crate::{
    anatomy::{Anatomy, Part},
    fuzz::{self, Stacks, world},
};

/// How many instructions are looked at, at least. The walk goes on until a fiber's first frame was among them,
const STEPS: u64 = 100_000;
/// but no longer than so many times as far.
const PATIENCE: u64 = 50;
const CALM_ROUNDS: u64 = 5_000;
const DEBUG_EXCEPTION: u8 = 1;

static STACKS: AtomicPtr<Stacks> = AtomicPtr::new(core::ptr::null_mut());
static WANTED: AtomicU64 = AtomicU64::new(0);
static HAS_ENDED: AtomicBool = AtomicBool::new(false);
/// Steps on: the boot stack, a fiber's stack.
static ON: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];
/// Steps in: inline, tail, base, elsewhere.
static IN: [AtomicU64; 4] = [const { AtomicU64::new(0) }; 4];

struct Shared(UnsafeCell<Option<Anatomy>>);

// SAFETY: Written before the first step, read by the handler.
unsafe impl Sync for Shared {}

static ANATOMY: Shared = Shared(UnsafeCell::new(None));

fn step(frame: &mut TrapFrame) {
    // SAFETY: `look` stored the address of stacks that are held until the walk has ended.
    let stacks =
        unsafe { STACKS.load(Ordering::Relaxed).as_ref() }.expect("stored before the first step");
    // SAFETY: It is not written any more.
    let anatomy = unsafe { &*ANATOMY.0.get() }
        .as_ref()
        .expect("known before the first step");
    let rip = usize::try_from(frame.rip).expect("64 bits");
    let rsp = usize::try_from(frame.rsp).expect("64 bits");
    let (bottom, top) = boot::stack();
    if (bottom..=top).contains(&frame.rsp) {
        ON[0].fetch_add(1, Ordering::Relaxed);
    } else {
        assert!(
            stacks.contain(rsp),
            "rsp={rsp:#x} is in no stack at rip={rip:#x}"
        );
        ON[1].fetch_add(1, Ordering::Relaxed);
    }
    assert!(stacks.are_intact(), "a canary is gone at rip={rip:#x}");
    let part = match anatomy.part(rip) {
        Part::Inline => 0,
        Part::Tail => 1,
        Part::Base => 2,
        Part::Elsewhere => 3,
    };
    IN[part].fetch_add(1, Ordering::Relaxed);
    let made: u64 = ON.iter().map(|count| count.load(Ordering::Relaxed)).sum();
    let wanted = WANTED.load(Ordering::Relaxed);
    let has_seen_base = IN[2].load(Ordering::Relaxed) > 0;
    if made >= wanted && has_seen_base || made >= PATIENCE * wanted {
        frame.rflags &= !RFlags::TRAP_FLAG.bits();
        HAS_ENDED.store(true, Ordering::Relaxed);
    }
}

kernel_test! {
    /// `rounds=N` on the command line asks for another number of steps.
    fn at_every_instruction_rsp_lies_in_a_known_stack_and_all_canaries_stand() timeout(180) {
        let steps = command_line::rounds(STEPS);
        WANTED.store(steps, Ordering::Relaxed);
        exceptions::hook(DEBUG_EXCEPTION, step);
        let mut anatomy = Some(Anatomy::new());
        let world = fuzz::run(u64::MAX, |stacks| {
            let Some(mut learning) = anatomy.take() else {
                if HAS_ENDED.load(Ordering::Relaxed) {
                    world().rounds = world().verified;
                }
                return;
            };
            world().resume_addresses().for_each(|address| learning.learn(address));
            if world().made < CALM_ROUNDS {
                anatomy = Some(learning);
                return;
            }
            // SAFETY: No step has been made yet.
            unsafe { *ANATOMY.0.get() = Some(learning) };
            STACKS.store((&raw const *stacks).cast_mut(), Ordering::Relaxed);
            // SAFETY: The handler is there.
            unsafe { cpu::set_flags(RFlags::TRAP_FLAG) };
        });
        let [boot, fibers] = ON.each_ref().map(|count| count.load(Ordering::Relaxed));
        let [inline, tail, base, elsewhere] = IN.each_ref().map(|count| count.load(Ordering::Relaxed));
        println!("{boot} steps on the boot stack, {fibers} on fibers' stacks");
        println!("{inline} steps inline, {tail} in the tail, {base} in the base, {elsewhere} elsewhere");
        assert_eq!(world.failed, 0);
        let made = boot + fibers;
        assert!(made >= steps);
        assert_eq!(inline + tail + base + elsewhere, made);
        assert!(inline > made / 1_000 && tail > made / 1_000 && base > 0 && boot > 0 && fibers > boot);
    }
}
