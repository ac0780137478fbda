//! Scopes that borrow, locals, and futures on fibers.

use core::{
    future::{Future, poll_fn},
    pin::pin,
    sync::atomic::{AtomicU64, Ordering},
    task::{Poll, Waker},
};

use kfiber::scheduler::{FiberLocal, Priority, block_on, scope, yield_now};
use tests_qemu::{
    interrupts::{on_tick, start_one_shot, ticks},
    kernel_test,
};

use super::{CELLS, Place, in_a_fiber, run_with_interrupts, spawn};

static NUMBER: FiberLocal<u64> = FiberLocal::new();

fn number() -> Option<u64> {
    NUMBER.with(|number| number.copied())
}

kernel_test! {
    fn fibers_of_a_scope_borrow_from_their_maker() {
        let numbers = in_a_fiber(|| {
            let mut numbers = [1, 2, 3, 4, 5, 6];
            let factor = 10;
            scope(|scope| {
                for pair in numbers.chunks_mut(2) {
                    let worker = scope.spawn(&CELLS, || {
                        for number in pair {
                            *number *= &factor;
                            yield_now();
                        }
                    });
                    worker.expect("a cell is free").detach();
                }
            });
            numbers
        });
        assert_eq!(numbers, [10, 20, 30, 40, 50, 60]);
    }

    fn a_scope_returns_what_its_fibers_return_and_scopes_nest() {
        let sum = in_a_fiber(|| {
            let one = 1;
            scope(|outer| {
                let two = outer.spawn_as(&CELLS, "outer", Priority::HIGHEST, || {
                    let two = one + 1;
                    scope(|inner| inner.spawn(&CELLS, || two + one).expect("a cell").join().expect("it ends"))
                });
                two.expect("a cell is free").join().expect("it ends") + one
            })
        });
        assert_eq!(sum, 4);
    }

    fn a_scope_without_fibers_returns_at_once() {
        assert_eq!(in_a_fiber(|| scope(|_| 5)), 5);
    }

    fn locals_are_each_fibers_own_across_switches() {
        let fibers: [_; 4] = core::array::from_fn(|index| spawn(move || {
            assert_eq!(number(), None);
            NUMBER.bind(&(index as u64), || {
                for _ in 0..10 {
                    yield_now();
                    assert_eq!(number(), Some(index as u64));
                }
                NUMBER.bind(&100, || {
                    yield_now();
                    assert_eq!(number(), Some(100));
                });
                assert_eq!(number(), Some(index as u64));
            });
            number()
        }));
        super::run();
        assert_eq!(fibers.map(|fiber| fiber.try_join().expect("all have ended")), [None; 4]);
    }

    fn a_handler_sees_the_locals_of_the_fiber_that_it_interrupts() {
        static SEEN: AtomicU64 = AtomicU64::new(0);
        on_tick(|_| SEEN.store(number().unwrap_or(1), Ordering::Relaxed));
        spawn(|| {
            NUMBER.bind(&42, || {
                start_one_shot(1_000);
                while ticks() == 0 { core::hint::spin_loop(); }
            });
        })
        .detach();
        run_with_interrupts();
        assert_eq!(SEEN.load(Ordering::Relaxed), 42);
        assert_eq!(number(), None, "no fiber, no local");
    }

    /// The waker is handed to the timer's interrupt, a thousand times over.
    fn a_handler_wakes_a_fiber_that_waits_for_a_future() {
        static WAKER: Place<Waker> = Place::new();
        on_tick(|_| WAKER.take().wake());
        let fiber = spawn(|| block_on(async {
            let mut sum = 0;
            for round in 1..=1_000_u64 {
                let mut is_armed = false;
                sum += poll_fn(|context| {
                    if ticks() == round {
                        return Poll::Ready(round);
                    }
                    if !core::mem::replace(&mut is_armed, true) {
                        WAKER.put(context.waker().clone());
                        start_one_shot(2_000);
                    }
                    Poll::Pending
                }).await;
            }
            sum
        }));
        run_with_interrupts();
        assert_eq!(fiber.try_join().expect("it has ended"), 500_500);
    }

    fn a_future_waits_for_the_ends_of_two_fibers_at_once() {
        let sum = in_a_fiber(|| {
            let slow = spawn(|| {
                (0..5).for_each(|_| yield_now());
                1
            });
            let quick = spawn(|| 2);
            let (mut slow, mut quick) = (pin!(slow), pin!(quick));
            let mut order = [0; 2];
            let mut ended = 0;
            let (mut has_slow, mut has_quick) = (false, false);
            block_on(poll_fn(|context| {
                if !has_quick && let Poll::Ready(Ok(number)) = quick.as_mut().poll(context) {
                    (order[ended], has_quick) = (number, true);
                    ended += 1;
                }
                if !has_slow && let Poll::Ready(Ok(number)) = slow.as_mut().poll(context) {
                    (order[ended], has_slow) = (number, true);
                    ended += 1;
                }
                if ended == 2 { Poll::Ready(()) } else { Poll::Pending }
            }));
            order
        });
        assert_eq!(sum, [2, 1]);
    }
}
