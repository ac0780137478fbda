//! An interrupt that wakes, at every instruction of a wake-up by interrupt, and of the yield after it,
//! which runs the fiber that was woken.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use kfiber::scheduler::{JoinHandle, Priority, Unparker, park, yield_now};
use tests_qemu::{
    cpu,
    exceptions::{self, TrapFrame},
    kernel_test,
};
use x86_64::registers::rflags::RFlags;

use super::{CELLS, Place, SCHEDULER, run_with_interrupts, spawn};

const DEBUG: u8 = 1;
/// More instructions than the steps can have.
const OFFSETS: u64 = 100_000;

static URGENT: Place<Unparker> = Place::new();
/// Whom the interrupt wakes.
static STRUCK: Place<Unparker> = Place::new();
/// The instruction after which the interrupt comes, or a later one at which interrupts are on.
static AT: AtomicU64 = AtomicU64::new(0);
static INSTRUCTIONS: AtomicU64 = AtomicU64::new(0);
static HAS_COME: AtomicBool = AtomicBool::new(false);
/// How often the two fibers were woken.
static URGENT_TURNS: AtomicU64 = AtomicU64::new(0);
static STRUCK_TURNS: AtomicU64 = AtomicU64::new(0);

fn strike(frame: &mut TrapFrame) {
    let is_early = INSTRUCTIONS.fetch_add(1, Ordering::Relaxed) < AT.load(Ordering::Relaxed);
    if is_early || frame.rflags & RFlags::INTERRUPT_FLAG.bits() == 0 {
        return;
    }
    frame.rflags &= !RFlags::TRAP_FLAG.bits();
    HAS_COME.store(true, Ordering::Relaxed);
    assert!(STRUCK.get().unpark());
}

/// Calls `f` in single steps, so that the interrupt comes after the instruction of this number. The
/// steps go on in the fibers that run next. Returns whether the interrupt came.
fn with_steps(at: u64, f: impl FnOnce()) -> bool {
    AT.store(at, Ordering::Relaxed);
    INSTRUCTIONS.store(0, Ordering::Relaxed);
    HAS_COME.store(false, Ordering::Relaxed);
    // SAFETY: the direction flag stays clear, and the handler is in its place.
    unsafe { cpu::set_flags(RFlags::TRAP_FLAG) };
    f();
    // SAFETY: nobody relies on single steps from here on.
    unsafe { cpu::clear_flags(RFlags::TRAP_FLAG) };
    HAS_COME.load(Ordering::Relaxed)
}

/// A fiber of this priority that parks, counts how often it was woken, and then does the rest, until it
/// is cancelled.
fn parks(
    priority: Priority,
    turns: &'static AtomicU64,
    and: impl Fn(u64) + Send + 'static,
) -> JoinHandle<()> {
    let builder = SCHEDULER.builder().priority(priority);
    let fiber = builder.spawn(&CELLS, move || {
        while park().is_ok() {
            and(turns.fetch_add(1, Ordering::Relaxed) + 1);
        }
    });
    fiber.expect("a cell is free")
}

/// Yields until a fiber had this many turns.
fn await_turns(turns: &AtomicU64, number: u64) {
    for _ in 0..100 {
        if turns.load(Ordering::Relaxed) >= number {
            return;
        }
        yield_now();
    }
    panic!("it waits on: a wake-up is lost");
}

/// Wakes a fiber of the highest priority and yields to it, with an interrupt at each instruction that
/// wakes one of this priority.
fn yield_with_strikes(priority: Priority) {
    exceptions::hook(DEBUG, strike);
    let is_equal = priority == Priority::HIGHEST;
    let urgent = parks(Priority::HIGHEST, &URGENT_TURNS, move |turns| {
        let has_come = HAS_COME.load(Ordering::Relaxed);
        yield_now();
        if has_come && is_equal {
            let is_seen = STRUCK_TURNS.load(Ordering::Relaxed) >= turns;
            assert!(is_seen, "a yield has not looked into the inbox");
        }
    });
    let struck = parks(priority, &STRUCK_TURNS, |_| ());
    URGENT.put(urgent.unparker());
    STRUCK.put(struck.unparker());
    let equal = spawn(|| {
        for _ in 0..20 * OFFSETS {
            if yield_and_say_whether_to_end() {
                return;
            }
        }
    });
    let yields = spawn(move || {
        yield_now(); // until both are parked
        for at in 0..OFFSETS {
            assert!(URGENT.get().unpark());
            let has_come = with_steps(at, yield_now);
            if !has_come {
                assert!(STRUCK.get().unpark());
            }
            await_turns(&URGENT_TURNS, at + 1);
            await_turns(&STRUCK_TURNS, at + 1);
            if !has_come {
                IS_OVER.store(true, Ordering::Relaxed);
                urgent.cancel();
                struck.cancel();
                return at;
            }
        }
        0
    });
    run_with_interrupts();
    let strikes = yields.try_join().expect("no wake-up is lost");
    assert!(equal.try_join().is_ok());
    assert!(strikes > 60, "the interrupt came {strikes} times only");
    let turns = [&URGENT_TURNS, &STRUCK_TURNS].map(|turns| turns.load(Ordering::Relaxed));
    assert_eq!(turns, [strikes + 1; 2], "each was woken once in each round");
}

static IS_OVER: AtomicBool = AtomicBool::new(false);

fn yield_and_say_whether_to_end() -> bool {
    yield_now();
    IS_OVER.load(Ordering::Relaxed)
}

kernel_test! {
    fn a_second_wake_up_of_the_same_priority_at_any_instruction_of_a_preemption_is_kept() timeout(60) {
        yield_with_strikes(Priority::HIGHEST);
    }

    fn a_wake_up_of_a_priority_between_at_any_instruction_of_a_preemption_is_kept() timeout(60) {
        yield_with_strikes(Priority::new(20).expect("below 32"));
    }

    /// The two count as one, or as two if the fiber ran in between. It is never in the inbox twice.
    fn an_unpark_at_any_instruction_of_an_unpark_counts() timeout(60) {
        exceptions::hook(DEBUG, strike);
        let struck = parks(Priority::HIGHEST, &STRUCK_TURNS, |_| ());
        STRUCK.put(struck.unparker());
        let unparks = spawn(move || {
            yield_now(); // until it is parked
            for at in 0..OFFSETS {
                let turns = STRUCK_TURNS.load(Ordering::Relaxed);
                let has_come = with_steps(at, || assert!(STRUCK.get().unpark()));
                assert_eq!(STRUCK_TURNS.load(Ordering::Relaxed), turns, "nobody has yielded");
                yield_now();
                assert_eq!(STRUCK_TURNS.load(Ordering::Relaxed), turns + 1);
                yield_now();
                assert_eq!(STRUCK_TURNS.load(Ordering::Relaxed), turns + 1, "woken once");
                if !has_come {
                    struck.cancel();
                    return at;
                }
            }
            0
        });
        run_with_interrupts();
        let strikes = unparks.try_join().expect("no wake-up is lost");
        assert!(strikes > 20, "the interrupt came {strikes} times only");
    }
}
