//! What a fiber borrows stays borrowed until all are done with it, whoever fails.

use core::sync::atomic::{AtomicU32, Ordering};

use kfiber::scheduler::{FiberState, scope, yield_now};
use tests_qemu::kernel_test;

use super::{CELLS, SCHEDULER, contain, failure_of, kinds::Kind, reports, run_all, spawn};

/// Where a fiber of a scope notes what it saw.
static SEEN: AtomicU32 = AtomicU32::new(0);

kernel_test! {
    fn the_owner_of_a_scope_fails_at_its_end_if_one_of_its_fibers_has() {
        contain();
        for kind in [Kind::Panic, Kind::PageFault] {
            SEEN.store(0, Ordering::Relaxed);
            let owner = spawn(move || {
                let mut numbers = [1, 2];
                let [first, second] = &mut numbers;
                scope(|scope| {
                    let failed = scope.spawn(&CELLS, || { *first = 5; yield_now(); kind.fail() }).expect("free");
                    scope.spawn(&CELLS, || {
                        (0..10).for_each(|_| yield_now());
                        *second += 1;
                        SEEN.store(*second, Ordering::Relaxed);
                    }).expect("free").detach();
                    kind.check(failure_of(failed.join()));
                });
                numbers
            });
            run_all();
            assert_eq!(SEEN.load(Ordering::Relaxed), 3, "the other was waited for");
            let failure = failure_of(owner.try_join());
            let kfiber::scheduler::Failure::Panicked(panic) = failure else { panic!("{failure}") };
            assert!(panic.message.contains("a fiber of this scope failed"), "{failure}");
        }
        assert_eq!(reports(), 4);
    }

    fn what_an_owner_that_fails_has_lent_stays_as_it_was() {
        contain();
        for kind in [Kind::Panic, Kind::Division] {
            SEEN.store(0, Ordering::Relaxed);
            let owner = spawn(move || {
                let lent = [11, 22, 33];
                scope(|scope| {
                    scope.spawn(&CELLS, || {
                        (0..50).for_each(|_| yield_now());
                        SEEN.store(lent.iter().sum(), Ordering::Relaxed);
                    }).expect("free").detach();
                    yield_now();
                    kind.fail()
                });
            });
            // Others come and go meanwhile, in whatever cell there is.
            for _ in 0..20 {
                spawn(|| yield_now()).detach();
                SCHEDULER.run_until_idle();
            }
            run_all();
            assert_eq!(SEEN.load(Ordering::Relaxed), 66);
            kind.check(failure_of(owner.try_join()));
        }
    }

    fn what_the_destructor_of_a_result_has_lent_stays_as_it_was_if_it_fails() {
        /// As large as what is noted of a failure, and larger.
        struct Lends([u32; 100], Kind);
        impl Drop for Lends {
            fn drop(&mut self) {
                let lent = &self.0;
                scope(|scope| {
                    scope.spawn(&CELLS, || {
                        (0..50).for_each(|_| yield_now());
                        SEEN.store(lent.iter().sum(), Ordering::Relaxed);
                    }).expect("free").detach();
                    yield_now();
                    self.1.fail()
                });
            }
        }
        contain();
        for kind in [Kind::Panic, Kind::Division] {
            SEEN.store(0, Ordering::Relaxed);
            // Nobody takes the result, so its destructor runs at the end of the fiber.
            spawn(move || Lends([2; 100], kind)).detach();
            run_all();
            assert_eq!(SEEN.load(Ordering::Relaxed), 200);
        }
        assert_eq!(reports(), 2);
    }

    fn a_scope_waits_for_those_to_whom_one_that_failed_has_lent() {
        static IS_DONE: AtomicU32 = AtomicU32::new(0);
        contain();
        let owner = spawn(|| {
            let lent = [1_u32, 2, 3];
            scope(|outer| {
                outer.spawn(&CELLS, || {
                    scope(|inner| {
                        inner.spawn(&CELLS, || {
                            (0..40).for_each(|_| yield_now());
                            IS_DONE.store(lent.iter().sum(), Ordering::Relaxed);
                        }).expect("free").detach();
                        yield_now();
                        Kind::PageFault.fail()
                    })
                }).expect("free").detach();
                // The middle one has failed by now, and the inner one still reads.
                (0..10).for_each(|_| yield_now());
                assert_eq!(IS_DONE.load(Ordering::Relaxed), 0);
                assert!(SCHEDULER.fibers().any(|fiber| matches!(fiber.state, FiberState::Failed(_))));
            });
        });
        let joiner = spawn(|| (owner.join(), IS_DONE.load(Ordering::Relaxed)));
        run_all();
        let (joined, when_it_ended) = joiner.try_join().expect("ended");
        assert_eq!(when_it_ended, 6, "it did not wait for the innermost");
        let failure = failure_of(joined);
        let kfiber::scheduler::Failure::Panicked(panic) = failure else { panic!("{failure}") };
        assert!(panic.message.contains("a fiber of this scope failed"), "{failure}");
        assert_eq!(reports(), 2);
    }
}
