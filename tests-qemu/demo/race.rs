//! The race: makes a fiber for each racer, resumes them in turn, and shows where they stand.

use crate::screen::{self, Lane};
use crate::sorts::{COUNT, RACERS, Row};
use kfiber::fiber::{Fiber, Resumed, Yielder};
use kfiber::stack::{Stack, StackHandle, StackMemory, StackPool};
use tests_qemu::cpu::Random;
use tests_qemu::println;

const STACK_BYTES: usize = 16 * 1024;

static STACKS: StackPool<STACK_BYTES, { RACERS.len() }> = StackPool::new();

type Racer = Fiber<(), Row, Row, StackHandle<Stack<STACK_BYTES>>>;

/// Runs the race.
///
/// # Panics
///
/// Panics if a row is not sorted at the end: a switch lost a register then.
pub(crate) fn run(is_terminal: bool) {
    let mut shuffled: Row = core::array::from_fn(|i| u8::try_from(i).expect("COUNT is small"));
    shuffle(&mut shuffled);

    let mut racers: [Racer; RACERS.len()] = RACERS.map(|(_name, sort)| {
        let mut stack = STACKS.take().expect("a stack for each racer");
        stack.paint(); // so that the report at the end can tell what was used of it
        Fiber::new(stack, move |pace: &Yielder<(), Row>, ()| {
            let mut row = shuffled;
            sort(&mut row, pace);
            row
        })
        .expect("a closure this small fits")
    });
    let mut lanes = RACERS.map(|(name, _sort)| Lane::new(name, shuffled));

    println!(
        "Six ways to sort {COUNT} numbers, each in a fiber that suspends itself after every step.\n"
    );
    let mut finished = 0;
    let mut is_hurried = false;
    for round in 0_u32.. {
        let is_over = finished == racers.len();
        if (is_terminal && !is_hurried) || is_over || round.is_multiple_of(200) {
            screen::draw(&lanes, is_terminal && round > 0);
        }
        if is_over {
            break;
        }
        if is_terminal && !is_hurried {
            is_hurried = screen::wait_for_next_frame();
        }
        for (racer, lane) in racers.iter_mut().zip(&mut lanes) {
            if racer.is_finished() {
                continue;
            }
            lane.steps += 1;
            match racer.resume(()) {
                Resumed::Yielded(row) => lane.row = row,
                Resumed::Returned(row) => {
                    finished += 1;
                    (lane.row, lane.place) = (row, Some(finished));
                }
            }
        }
    }
    report(&lanes, racers);
}

/// Puts the numbers in an order that depends on the seed.
fn shuffle(row: &mut Row) {
    let mut random = Random::from_command_line();
    for end in (1..COUNT).rev() {
        let bound = u64::try_from(end + 1).expect("COUNT is small");
        row.swap(
            end,
            usize::try_from(random.below(bound)).expect("below COUNT"),
        );
    }
}

/// Says what it took, and whether it is right.
fn report(lanes: &[Lane], racers: [Racer; RACERS.len()]) {
    let switches: u32 = lanes.iter().map(|lane| 2 * lane.steps).sum();
    println!(
        "{switches} switches between the kernel and its fibers. Stack used, of {STACK_BYTES} bytes each:"
    );
    for (lane, racer) in lanes.iter().zip(racers) {
        let stack = racer.into_stack().expect("all have returned");
        println!("  {:<18} {:>6} bytes", lane.name, stack.usage().used_bytes);
    }
    assert!(
        lanes.iter().all(|lane| lane.row.is_sorted()),
        "a row is not sorted: a switch lost a register"
    );
}
