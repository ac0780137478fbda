//! Cancellation: asked for from fibers and handlers, noticed where a fiber waits, hidden by a shield.

use core::time::Duration;

use kfiber::scheduler::{
    JoinErrorKind, JoinHandle, WaitError, check_cancelled, is_cancelled, park, scope, shield,
    sleep, yield_now,
};
use tests_qemu::{
    interrupts::{on_tick, start_one_shot},
    kernel_test,
};

use super::{CELLS, Place, SCHEDULER, in_a_fiber, run, run_with_interrupts, spawn};

kernel_test! {
    fn cancelling_ends_a_park_a_sleep_and_a_join() {
        in_a_fiber(|| {
            let parked = spawn(park);
            let asleep = spawn(|| sleep(Duration::from_secs(3_600)));
            let endless = spawn(park);
            let waker = endless.unparker();
            let joining = spawn(move || {
                let refused = endless.join().expect_err("it parks");
                (refused.kind, refused.handle.is_finished())
            });
            yield_now();
            parked.cancel();
            asleep.cancel();
            joining.cancel();
            assert_eq!(parked.join().expect("it ends"), Err(WaitError::Cancelled));
            assert_eq!(asleep.join().expect("it ends"), Err(WaitError::Cancelled));
            assert_eq!(joining.join().expect("it ends"), (JoinErrorKind::Cancelled, false));
            assert!(waker.unpark(), "who joined was cancelled, not what it joined");
        });
    }

    fn a_fiber_that_was_cancelled_before_it_ran_runs_and_knows() {
        let fiber = spawn(|| (is_cancelled(), check_cancelled(), park(), sleep(Duration::from_secs(3_600))));
        fiber.cancel();
        fiber.cancel();
        run();
        let cancelled = Err(WaitError::Cancelled);
        assert_eq!(fiber.try_join().expect("it has ended"), (true, cancelled, cancelled, cancelled));
    }

    fn a_shield_hides_it_until_the_last_one_is_down() {
        let fiber = spawn(|| {
            shield(|| {
                shield(|| assert!(!is_cancelled()));
                assert!(!is_cancelled());
                sleep(Duration::from_micros(10)).expect("shielded");
            });
            is_cancelled()
        });
        fiber.cancel();
        run();
        assert!(fiber.try_join().expect("it has ended"));
    }

    fn a_handler_cancels_a_fiber_that_parks() {
        static HANDLE: Place<JoinHandle<Result<(), WaitError>>> = Place::new();
        HANDLE.put(spawn(|| {
            start_one_shot(10_000);
            park()
        }));
        on_tick(|_| {
            let handle = HANDLE.take();
            handle.cancel();
            HANDLE.put(handle);
        });
        run_with_interrupts();
        assert_eq!(HANDLE.take().try_join().expect("it has ended"), Err(WaitError::Cancelled));
    }

    fn cancelling_a_fiber_that_has_ended_changes_nothing_for_it_or_the_next() {
        let first = spawn(|| 1);
        run();
        first.cancel();
        assert_eq!(first.try_join().expect("it has ended"), 1);
        let next: [_; 8] = core::array::from_fn(|_| spawn(is_cancelled));
        run();
        assert!(next.map(|fiber| fiber.try_join().expect("it has ended")).iter().all(|cancelled| !cancelled));
    }

    fn cancelling_the_owner_of_a_scope_does_not_end_the_borrows() {
        let owner = spawn(|| {
            let mut numbers = [0; 2];
            let (low, high) = numbers.split_at_mut(1);
            scope(|scope| {
                for number in [low, high] {
                    let worker = scope.spawn(&CELLS, move || {
                        (0..10).for_each(|_| yield_now());
                        number[0] += 1;
                    });
                    worker.expect("a cell is free").detach();
                }
            });
            (numbers, is_cancelled())
        });
        SCHEDULER.builder().name("canceller").spawn(&CELLS, || yield_now()).expect("a cell is free").detach();
        owner.cancel();
        run();
        assert_eq!(owner.try_join().expect("it has ended"), ([1, 1], true));
    }
}
