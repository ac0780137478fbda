//! The barrier.

use crate::{panic_of, settle, world};
use core::time::Duration;
use kfiber::scheduler::WaitError;
use kfiber::sync::Barrier;

#[test]
fn all_wait_for_the_last_and_it_can_be_used_again() {
    world!(S, CELLS, LOG);
    static BARRIER: Barrier = Barrier::new(3);
    for number in 0..3 {
        S.spawn(&CELLS, move || {
            for round in 0..2 {
                for _ in 0..number * 5 {
                    kfiber::scheduler::yield_now();
                }
                LOG.say(format!("in{round}"));
                let is_leader = BARRIER.wait().unwrap().is_leader();
                LOG.say(format!("out{round}"));
                assert_eq!(is_leader, number == 2);
                settle();
            }
        })
        .unwrap()
        .detach();
    }
    S.run();
    assert_eq!(
        LOG.all(),
        "in0 in0 in0 out0 out0 out0 in1 in1 in1 out1 out1 out1"
    );
}

#[test]
fn a_barrier_for_one_or_none_stops_nobody() {
    world!(S, CELLS);
    static NONE: Barrier = Barrier::new(0);
    static ONE: Barrier = Barrier::new(1);
    let fiber = S
        .spawn(&CELLS, || {
            [&NONE, &ONE, &ONE].map(|barrier| barrier.wait().unwrap().is_leader())
        })
        .unwrap();
    S.run();
    assert_eq!(fiber.try_join().unwrap(), [true; 3]);
}

#[test]
fn those_that_give_up_do_not_count() {
    world!(S, CELLS);
    static BARRIER: Barrier = Barrier::new(2);
    let late = S
        .spawn(&CELLS, || BARRIER.wait_timeout(Duration::from_nanos(5)))
        .unwrap();
    S.run();
    let past = S.spawn(&CELLS, || BARRIER.wait_until(0)).unwrap();
    let cancelled = S.spawn(&CELLS, || BARRIER.wait()).unwrap();
    S.run_until_idle();
    cancelled.cancel();
    S.run();
    assert_eq!(late.try_join().unwrap(), Err(WaitError::TimedOut));
    assert_eq!(past.try_join().unwrap(), Err(WaitError::TimedOut));
    assert_eq!(cancelled.try_join().unwrap(), Err(WaitError::Cancelled));
    let fibers = [(); 2].map(|()| S.spawn(&CELLS, || BARRIER.wait()).unwrap());
    S.run_until_idle();
    assert!(fibers.iter().all(|fiber| fiber.is_finished()));
    assert!(panic_of(|| BARRIER.wait()).contains("outside of a fiber"));
}
