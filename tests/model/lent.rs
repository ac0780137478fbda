//! A graph of waits that is lent to a `Fiber` which suspends while it has the graph: nobody can wait until it gives the graph
//! back. With several cores the fiber could move meanwhile, and others could run that the graph shows.

use crate::{Inner, Pause, S, STACK, child, contain, end_of, spawn};
use core::mem::forget;
use kfiber::fiber::{Fiber, Resumed};
use kfiber::scheduler::{without_waiting, yield_now};
use kfiber::stack::Storage;

/// What ends the process where waiting would be allowed too early.
const STILL_LENT: &[&str] = &["a graph of waits is still lent"];

/// Returns a `Fiber` that has a graph.
fn looks() -> Inner {
    let body = |yielder: &Pause, ()| {
        let look = S.wait_graph(|graph| {
            yielder.suspend(());
            graph.fibers().count()
        });
        assert_eq!(look, Some(0));
    };
    let mut fiber = Fiber::new(STACK.take().unwrap(), body).unwrap();
    assert_eq!(fiber.resume(()), Resumed::Yielded(()));
    fiber
}

/// Runs it as a fiber, which is to end the process.
fn run(body: fn()) {
    contain();
    spawn("looks", body).detach();
    S.run();
}

#[test]
fn looks_that_end_in_the_reverse_order_are_fine() {
    child::passes(|| {
        contain();
        let fiber = spawn("looks", || {
            let mut fiber = looks();
            assert_eq!(S.wait_graph(|graph| graph.fibers().count()), Some(0));
            assert_eq!(fiber.resume(()), Resumed::Returned(()));
            yield_now();
            without_waiting(|| S.wait_graph(|graph| graph.fibers().count()))
        });
        S.run();
        assert_eq!(end_of(fiber), Ok(Some(0)));
    });
}

#[test]
fn waiting_is_not_allowed_again_by_whoever_had_forbidden_it_before_a_look() {
    child::aborts(STILL_LENT, || {
        run(|| {
            let mut fiber = without_waiting(looks);
            yield_now();
            let _ = fiber.resume(());
        });
    });
}

#[test]
fn waiting_is_not_allowed_again_in_a_look() {
    child::aborts(STILL_LENT, || {
        run(|| {
            let body = |yielder: &Pause, ()| without_waiting(|| yielder.suspend(()));
            let mut fiber = Fiber::new(STACK.take().unwrap(), body).unwrap();
            let _ = fiber.resume(());
            S.wait_graph(|graph| {
                let _ = fiber.resume(());
                yield_now();
                graph.fibers().count()
            });
        });
    });
}

#[test]
fn a_look_does_not_end_in_one_that_began_later() {
    child::aborts(STILL_LENT, || {
        run(|| {
            let mut fiber = looks();
            S.wait_graph(|graph| {
                let _ = fiber.resume(());
                graph.fibers().count()
            });
        });
    });
}

#[test]
fn a_fiber_does_not_end_in_a_look() {
    child::aborts(STILL_LENT, || run(|| forget(looks())));
}
