//! Randomised switches while interrupts arrive between any two instructions, on the stack that they interrupt.
//!
//! An interrupt may come at any instruction of the switch, and overwrites what lies below rsp. These tests need
//! `-icount shift=0`: without it QEMU takes interrupts only where a block of translated code ends, and a switch that
//! keeps a register below rsp within one such block looks right. The last two tests show just that.

mod planted;

use core::{arch::asm, cell::UnsafeCell, hint::black_box};

use tests_qemu::{
    command_line,
    cpu::Random,
    exceptions::TrapFrame,
    interrupts::{on_tick, start_one_shot, stop_timer, ticks},
    kernel_test, println,
};
use x86_64::instructions::interrupts;

use crate::{
    anatomy::{Anatomy, Part, TAILS},
    fuzz::{self, World, world},
};

/// How many switches are verified unless the command line asks for another number.
const ROUNDS: u64 = 1_000_000;
/// Switches from which the addresses of the parts are learned, before the first interrupt.
const CALM_ROUNDS: u64 = 10_000;
/// The handler needs as much for itself, in nanoseconds, which are instructions. A shorter delay stops all else.
const LEAST_DELAY: u32 = 1_000;
/// The delays differ by up to so much.
const JITTER: u64 = 1_024;

/// What the handler knows and counts.
struct Storm {
    anatomy: Option<Anatomy>,
    random: Random,
    inline: u64,
    tail: u64,
    base: u64,
    elsewhere: u64,
    /// By the byte of each tail that the interrupted instruction begins with.
    tail_bytes: [[u64; 32]; TAILS],
}

struct Shared(UnsafeCell<Storm>);

// SAFETY: One core; the handler alone uses it while interrupts are on.
unsafe impl Sync for Shared {}

static STORM: Shared = Shared(UnsafeCell::new(Storm {
    anatomy: None,
    random: Random::new(0),
    inline: 0,
    tail: 0,
    base: 0,
    elsewhere: 0,
    tail_bytes: [[0; 32]; TAILS],
}));

fn storm() -> &'static mut Storm {
    // SAFETY: Interrupts are off, or have not begun.
    unsafe { &mut *STORM.0.get() }
}

/// Notes where it came in, uses the stack, leaves garbage in the registers, and asks for the next one.
fn strike(frame: &mut TrapFrame) {
    let storm = storm();
    let rip = usize::try_from(frame.rip).expect("64 bits");
    let anatomy = storm
        .anatomy
        .as_ref()
        .expect("known before the first interrupt");
    match anatomy.part(rip) {
        Part::Inline => storm.inline += 1,
        Part::Tail => {
            storm.tail += 1;
            let tails = anatomy.tails.iter().zip(&mut storm.tail_bytes);
            for (tail, bytes) in tails.filter(|(tail, _)| tail.contains(&rip)) {
                bytes[rip - tail.start] += 1;
            }
        }
        Part::Base => storm.base += 1,
        Part::Elsewhere => storm.elsewhere += 1,
    }
    let random = storm.random.next();
    // The processor aligns the stack before it pushes, and so leaves out a word of what may be overwritten.
    let pushed_to = (&raw mut *frame).wrapping_add(1).cast::<u64>();
    if pushed_to.addr() as u64 != frame.rsp {
        // SAFETY: The word lies between the interrupted stack pointer and the frame: nobody may rely on it.
        unsafe { pushed_to.write_volatile(random) };
    }
    let mut below = [random; 64];
    black_box(&mut below);
    let jitter = u32::try_from(random % JITTER).expect("small");
    start_one_shot(LEAST_DELAY + jitter);
    // SAFETY: Every register that it changes is declared; the entry code restores those of the interrupted code.
    unsafe {
        asm!(
            "mov rcx, rax", "mov rdx, rax", "mov rsi, rax", "mov rdi, rax",
            "mov r8, rax", "mov r9, rax", "mov r10, rax", "mov r11, rax",
            inout("rax") random => _, clobber_abi("sysv64"),
        );
    };
}

/// Makes switches under interrupts. The addresses of the parts are learned before.
fn weather(rounds: u64) -> &'static World {
    let mut anatomy = Some(Anatomy::new());
    storm().random = Random::from_command_line();
    on_tick(strike);
    fuzz::run(rounds, |_| {
        let Some(mut learning) = anatomy.take() else {
            return;
        };
        world()
            .resume_addresses()
            .for_each(|address| learning.learn(address));
        if world().made < CALM_ROUNDS {
            anatomy = Some(learning);
        } else {
            storm().anatomy = Some(learning);
            start_one_shot(LEAST_DELAY);
            interrupts::enable();
        }
    });
    interrupts::disable();
    stop_timer();
    world()
}

kernel_test! {
    /// `rounds=N` on the command line asks for another number.
    fn switches_survive_interrupts_between_any_two_instructions() icount timeout(180) {
        let rounds = command_line::rounds(ROUNDS);
        let world = weather(rounds);
        let Storm { inline, tail, base, elsewhere, tail_bytes, anatomy, .. } = storm();
        println!("{} interrupts: {inline} inline, {tail} in the tail, {base} in the base, {elsewhere} elsewhere", ticks());
        for bytes in &*tail_bytes {
            println!("a tail, by byte: {:?}", &bytes[..14]);
        }
        println!("inline parts: {}", anatomy.as_ref().map_or(0, |anatomy| anatomy.inline().count()));
        fuzz::report(world);
        assert!(ticks() >= rounds / 10, "too few interrupts to be a storm");
        assert!(*inline > 0 && *tail > 0 && *base > 0, "no part was spared");
        // mov rsp, …; mov rbx, …; mov rbp, …; jmp …
        let known = anatomy.as_ref().expect("it was learned").tails.iter().filter(|tail| tail.start < tail.end);
        for (bytes, _) in tail_bytes.iter().zip(known) {
            let hit: usize = bytes.iter().filter(|&&count| count > 0).count();
            assert_eq!(hit, 4, "no instruction of a tail was spared");
        }
    }

    /// A switch that keeps rbx below rsp for two instructions is found out.
    fn a_switch_that_keeps_a_register_below_rsp_is_found_out() icount timeout(180) {
        world().out_of_line = planted::switch_with_rbx_below_rsp;
        let world = weather(command_line::rounds(ROUNDS / 5));
        println!("{} of {} switches failed under {} interrupts", world.failed, world.made, ticks());
        assert!(world.failed > 0, "the storm is blind");
    }

    /// The same switch, the same interrupts, and nothing to be seen: why the tests above need `-icount`.
    fn without_icount_the_same_switch_is_not_found_out() timeout(180) {
        world().out_of_line = planted::switch_with_rbx_below_rsp;
        let world = weather(command_line::rounds(ROUNDS));
        println!("{} of {} switches failed under {} interrupts", world.failed, world.made, ticks());
        assert!(ticks() > 1_000);
        assert_eq!(world.failed, 0, "QEMU takes interrupts within blocks now: the storm no longer needs `-icount`");
    }
}
