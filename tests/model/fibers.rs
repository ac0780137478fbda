//! A `Fiber` is a part of the fiber that made it. Where the types cannot see that it changes hands, `resume` says so.

use crate::{
    CELLS, Inner, ONE, Pause, S, STACK, Smuggled, assert_names, child, contain, end_of, panic_of,
    settle, spawn,
};
use core::future::poll_fn;
use core::task::Poll;
use core::time::Duration;
use kfiber::fiber::{Fiber, Resumed};
use kfiber::scheduler::{self, block_on, current_name, scope, shield, without_waiting, yield_now};
use kfiber::stack::Storage;
use kfiber::sync::{Condvar, Mutex, WaitQueue};

std::thread_local! {
    static PLACE: Smuggled<Inner> = const { Smuggled::new() };
}

/// A fiber inside the running one, resumed once.
fn begun(
    body: impl FnOnce(&Pause) + 'static,
) -> Fiber<(), (), (), kfiber::stack::StackHandle<kfiber::stack::Stack<131072>>> {
    let mut fiber = Fiber::new(STACK.take().unwrap(), move |yielder: &Pause, ()| {
        body(yielder);
    })
    .unwrap();
    assert_eq!(fiber.resume(()), Resumed::Yielded(()));
    fiber
}

/// Has `ann` begin a fiber and `bob` go on with it: that is refused, whatever the fiber does, and `ann` goes on.
fn is_refused(body: impl FnOnce(&Pause) + Send + 'static) {
    contain();
    let ann = spawn("ann", move || {
        let fiber = begun(body);
        PLACE.with(|place| place.put(fiber));
        settle();
        current_name()
    });
    let bob = spawn("bob", || {
        let mut fiber = PLACE.with(Smuggled::take);
        let [first, second] = [(); 2].map(|()| panic_of(|| fiber.resume(())));
        let third = panic_of(|| fiber.try_resume(()));
        core::mem::forget(fiber);
        (first, second, third, current_name())
    });
    let other = spawn("other", settle);
    S.run();
    assert_eq!(end_of(ann), Ok("ann"));
    let (first, second, third, name) = end_of(bob).unwrap();
    for message in [first, second, third] {
        assert_names(
            &message,
            &[
                "a `Fiber` that belongs to",
                "\"ann\"",
                "resumed by",
                "\"bob\"",
            ],
        );
    }
    assert_eq!(name, "bob");
    assert_eq!(end_of(other), Ok(()));
}

#[test]
fn a_fiber_that_would_wait_on_a_condvar_is_not_resumed_by_another() {
    static LOCK: Mutex<u32> = Mutex::new(0);
    static CHANGED: Condvar = Condvar::new();
    child::passes(|| {
        is_refused(|yielder| {
            let mut guard = LOCK.lock();
            yielder.suspend(());
            let _waited = CHANGED.wait(&mut guard);
        });
    });
}

#[test]
fn a_fiber_in_block_on_is_not_resumed_by_another() {
    child::passes(|| {
        is_refused(|yielder| {
            let mut polls = 0;
            block_on(poll_fn(|_context| {
                polls += 1;
                if polls == 1 {
                    yielder.suspend(());
                    return Poll::Pending;
                }
                Poll::Ready(())
            }));
        });
    });
}

#[test]
fn a_fiber_within_a_shield_is_not_resumed_by_another() {
    child::passes(|| is_refused(|yielder| shield(|| yielder.suspend(()))));
}

#[test]
fn a_fiber_within_a_scope_is_not_resumed_by_another() {
    child::passes(|| {
        is_refused(|yielder| {
            scope(|scope| {
                let sleeps = || scheduler::sleep(Duration::from_millis(5)).unwrap();
                scope.spawn(&CELLS, sleeps).unwrap().detach();
                yielder.suspend(());
            });
        });
    });
}

#[test]
fn a_fiber_in_the_condition_of_a_wait_queue_is_not_resumed_by_another() {
    static QUEUE: WaitQueue = WaitQueue::new();
    child::passes(|| {
        is_refused(|yielder| {
            let mut is_first = true;
            let _waited = QUEUE.wait_while(|| {
                if core::mem::take(&mut is_first) {
                    yielder.suspend(());
                }
                false
            });
        });
    });
}

#[test]
fn a_fiber_that_waits_for_nothing_is_not_resumed_by_another_either() {
    child::passes(|| is_refused(|yielder| yielder.suspend(())));
}

#[test]
fn a_fiber_where_waiting_is_forbidden_is_not_resumed_by_another() {
    child::passes(|| {
        contain();
        let ann = spawn("ann", || {
            let fiber = begun(|yielder| without_waiting(|| yielder.suspend(())));
            PLACE.with(|place| place.put(fiber));
        });
        // It ended where waiting is forbidden, which is its own fault.
        let bob = spawn("bob", || panic_of(|| PLACE.with(Smuggled::take).resume(())));
        S.run();
        assert!(end_of(ann).is_err());
        assert_names(&end_of(bob).unwrap(), &["\"bob\""]);
    });
}

#[test]
fn a_fiber_of_a_scheduled_one_is_not_resumed_outside() {
    child::passes(|| {
        contain();
        let ann = spawn("ann", || {
            let fiber = begun(|yielder| yielder.suspend(()));
            PLACE.with(|place| place.put(fiber));
        });
        S.run();
        assert_eq!(end_of(ann), Ok(()));
        let message = panic_of(|| PLACE.with(Smuggled::take).resume(()));
        assert_names(&message, &["a `Fiber` that belongs to"]);
    });
}

#[test]
fn a_fiber_of_the_thread_is_not_resumed_by_a_scheduled_one() {
    child::passes(|| {
        contain();
        let fiber = begun(|yielder| yielder.suspend(()));
        PLACE.with(|place| place.put(fiber));
        let bob = spawn("bob", || panic_of(|| PLACE.with(Smuggled::take).resume(())));
        S.run();
        assert_names(
            &end_of(bob).unwrap(),
            &["a `Fiber` that belongs to", "\"bob\""],
        );
    });
}

#[test]
fn a_fiber_of_one_that_ended_is_not_resumed_by_the_next_in_its_cell() {
    child::passes(|| {
        contain();
        let first = || {
            let fiber = begun(|yielder| yielder.suspend(()));
            PLACE.with(|place| place.put(fiber));
        };
        S.builder()
            .name("first")
            .spawn(&ONE, first)
            .unwrap()
            .detach();
        S.run();
        let next = || panic_of(|| PLACE.with(Smuggled::take).resume(()));
        let next = S.builder().name("next").spawn(&ONE, next).unwrap();
        S.run();
        assert_names(
            &end_of(next).unwrap(),
            &["a `Fiber` that belongs to", "\"next\""],
        );
    });
}

#[test]
fn a_fiber_goes_on_where_it_began_after_others_ran() {
    child::passes(|| {
        contain();
        let ann = spawn("ann", || {
            let mut fiber = begun(|yielder| {
                shield(|| yielder.suspend(()));
                yield_now();
                assert_eq!(current_name(), "ann");
            });
            settle();
            fiber.resume(())
        });
        spawn("bob", settle).detach();
        S.run();
        assert_eq!(end_of(ann), Ok(Resumed::Returned(())));
    });
}
