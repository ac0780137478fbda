//! Mistakes planted into the code for several cores: the exploration finds each of them.

use crate::baton;
use crate::child::{self, Task};
use crate::schedule::Way;
use kfiber::steps::{self, Mistake};

/// Far more schedules than any of them needs.
const MOST: u64 = if cfg!(kfiber_threads) { 3000 } else { 20_000 };

/// Plays schedules with a mistake, in a child, until one fails. What the child says must be one of these.
fn finds(test: &'static str, mistake: Mistake, program: Option<&str>, expected: &[&str]) {
    steps::set(baton::step);
    if child::is_child() {
        steps::plant(mistake);
    }
    let way = Way {
        has_cores: true,
        program: program.map(str::to_owned),
        ..Way::default()
    };
    if child::played(&way) {
        return;
    }
    let task = Task::Many {
        start: 1,
        count: MOST,
    };
    let failure = child::run(test, &task).expect_err("the mistake is found");
    let is_expected = expected.iter().any(|it| failure.output.contains(it));
    assert!(
        is_expected,
        "{mistake:?} was found by another failure: {}",
        failure.output
    );
    println!("{mistake:?} is found with seed {:#x}", failure.seed);
}

#[test]
fn a_missing_barrier_between_sleep_and_kick_is_found() {
    let name = "mistakes::a_missing_barrier_between_sleep_and_kick_is_found";
    finds(name, Mistake::NoBarrier, None, &["fibers wait for ever"]);
}

#[test]
fn a_kick_that_is_left_out_is_found() {
    let name = "mistakes::a_kick_that_is_left_out_is_found";
    finds(name, Mistake::NoKick, None, &["fibers wait for ever"]);
}

#[test]
fn a_pinned_fiber_that_is_given_away_is_found() {
    let name = "mistakes::a_pinned_fiber_that_is_given_away_is_found";
    finds(name, Mistake::PinnedMoved, None, &["and belongs to Some("]);
}

#[test]
fn a_request_that_is_not_withdrawn_is_found() {
    let name = "mistakes::a_request_that_is_not_withdrawn_is_found";
    finds(name, Mistake::NotWithdrawn, None, &["fibers wait for ever"]);
}

/// Started fibers move only where each has a thread.
#[test]
#[cfg(kfiber_threads)]
fn a_loop_that_is_read_before_the_bit_is_set_is_found() {
    let name = "mistakes::a_loop_that_is_read_before_the_bit_is_set_is_found";
    finds(
        name,
        Mistake::LoopReadFirst,
        Some("moves"),
        &["it is elsewhere"],
    );
}

#[test]
#[cfg(kfiber_threads)]
fn a_running_fiber_that_is_given_away_is_found() {
    let name = "mistakes::a_running_fiber_that_is_given_away_is_found";
    if child::is_child() {
        finds(name, Mistake::RunningGivenAway, None, &[]);
        return;
    }
    // Two cores on one stack can do anything, so the child may crash as well as fail.
    let task = Task::Many {
        start: 1,
        count: MOST,
    };
    let ended = std::panic::catch_unwind(|| child::run(name, &task));
    assert!(!matches!(ended, Ok(Ok(()))), "the mistake is not found");
}
