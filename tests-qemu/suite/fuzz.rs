//! Randomised switches: all registers random before each, all that must be kept looked at after each.

mod world;

use core::{arch::naked_asm, hint::black_box};

use kfiber::context::{ControlBlock, Payload};
use tests_qemu::{
    command_line,
    cpu::{Random, cycles},
    kernel_test, println,
};

use crate::checked::random_switch;

pub(crate) use world::{SIDES, Stacks, World, world};

/// How many switches are verified unless the command line asks for another number.
const ROUNDS: u64 = 1_000_000;

/// The first instruction of every fiber: hands its stack pointer on.
#[unsafe(naked)]
unsafe extern "sysv64" fn entry(payload: Payload, block: *mut ControlBlock) -> Payload {
    naked_asm!("mov rdx, rsp", "jmp {}", sym body)
}

extern "sysv64" fn body(payload: Payload, block: *mut ControlBlock, rsp: usize) -> Payload {
    assert_eq!(rsp % 16, 8, "the stack at a function's entry");
    let me = world().side_of(block);
    // SAFETY: Only addresses are sent.
    let payload = unsafe { payload.assume_init() };
    world().note_entry(me, payload);
    while !world().is_to_end(me) {
        step(me);
    }
    world().end(me)
}

/// Goes away from here, some calls deeper, and comes back.
fn step(me: usize) {
    let random = world().next_random() >> 20;
    // Once in 256 it is deep.
    let depth = if random & 0xff == 0 {
        random >> 8 & 15
    } else {
        random >> 8 & 3
    };
    descend(me, depth, random);
}

#[inline(never)]
fn descend(me: usize, depth: u64, salt: u64) {
    if depth == 0 {
        return go(me);
    }
    let mut frame = [salt, !salt, salt ^ depth];
    black_box(&mut frame);
    descend(me, depth - 1, salt ^ (salt << 9));
    if frame[0] != salt || frame[1] != !salt || frame[2] != salt ^ depth {
        panic!("a frame changed while another side ran: {frame:x?}, salt {salt:x}, depth {depth}");
    }
}

fn go(me: usize) {
    let plan = world().plan(me);
    // SAFETY: C1 to C3: `next` is where the other side waits, `prev` is free, and the world stays in place.
    let difference = unsafe {
        random_switch(
            plan.payload,
            plan.tag,
            plan.prev,
            plan.next,
            plan.check,
            plan.random,
        )
    };
    world().landed(me, difference);
}

/// Goes on until `rounds` switches are verified, and lets all fibers come to their ends. `look` is called whenever number
/// 0 runs, and may change the number of rounds.
pub(crate) fn run(rounds: u64, mut look: impl FnMut(&Stacks)) -> &'static World {
    let seed = Random::from_command_line().next();
    let stacks = world().begin(rounds, seed);
    while world().verified < world().rounds {
        step(0);
        look(&stacks);
    }
    for side in 1..SIDES {
        let plan = world().plan_to_drain(side);
        // SAFETY: As in `go`.
        let difference = unsafe {
            random_switch(
                plan.payload,
                plan.tag,
                plan.prev,
                plan.next,
                plan.check,
                plan.random,
            )
        };
        world().landed(0, difference);
    }
    assert!(stacks.are_intact());
    world()
}

/// Prints what was done, and holds it to be all that was asked for.
pub(crate) fn report(world: &World) {
    let World {
        made,
        verified,
        entered,
        ends,
        inline,
        failed,
        rounds,
        ..
    } = world;
    println!(
        "{made} switches: {verified} verified, {entered} first entries, {failed} failed; {ends} fibers ended"
    );
    println!(
        "inline: {inline:?} (resume, suspend, switch, switch among locals); all others out of line"
    );
    assert_eq!(*failed, 0, "switches after which a register differed");
    assert_eq!(verified + entered, *made, "each switch arrives once");
    // The fibers that come to their ends then are verified once more, and so is the one that resumes them.
    let more = 2 * SIDES as u64;
    assert!(
        (*rounds..rounds + more).contains(verified),
        "{verified} verified, {rounds} asked for"
    );
    let enough = rounds / 100;
    assert!(
        inline.iter().all(|count| *count >= enough) && *ends >= enough / 2,
        "each form is used"
    );
}

kernel_test! {
    /// `rounds=N` on the command line asks for another number.
    fn randomised_switches_keep_all_callee_saved_registers() timeout(900) {
        let start = cycles();
        let world = run(command_line::rounds(ROUNDS), |_| ());
        println!("{} cycles", cycles() - start);
        report(world);
    }
}
