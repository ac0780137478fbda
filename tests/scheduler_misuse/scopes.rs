//! Scopes: borrows, nesting, unwinding, and cells that run out inside.

use super::{in_fiber, message_of};
use core::sync::atomic::{AtomicBool, AtomicI32, Ordering::Relaxed};
use core::time::Duration;
use kfiber::scheduler::{self, FiberState, Priority, SpawnErrorKind, WaitReason, scope};
use std::sync::Arc;

#[test]
fn a_scope_waits_for_fibers_whose_handles_were_dropped() {
    in_fiber(|_, cells| {
        let mut numbers = [1, 2, 3];
        scope(|scope| {
            for number in &mut numbers {
                let body = || {
                    scheduler::sleep(Duration::from_secs(1)).unwrap();
                    *number *= 10;
                };
                drop(scope.spawn(cells, body).unwrap());
            }
        });
        assert_eq!(numbers, [10, 20, 30]);
        assert_eq!(scheduler::now(), 1_000_000_000);
    });
}

#[test]
fn what_fibers_of_a_scope_captured_is_dropped_when_it_ends() {
    in_fiber(|_, cells| {
        let count = Arc::new(AtomicI32::new(0));
        scope(|scope| {
            for _ in 0..3 {
                let count = Arc::clone(&count);
                scope
                    .spawn(cells, move || count.fetch_add(1, Relaxed))
                    .unwrap()
                    .detach();
            }
        });
        assert_eq!((count.load(Relaxed), Arc::strong_count(&count)), (3, 1));
    });
}

#[test]
fn a_scoped_fiber_is_joined_with_its_result() {
    in_fiber(|_, cells| {
        let text = String::from("borrowed");
        let result = scope(|scope| {
            let fiber = scope.spawn(cells, || text.as_str()).unwrap();
            assert!(!fiber.is_finished());
            fiber.join().unwrap()
        });
        assert_eq!(result, "borrowed");
    });
}

#[test]
fn a_scope_waits_when_its_function_unwinds() {
    in_fiber(|_, cells| {
        let ran = AtomicBool::new(false);
        let message = message_of(|| {
            scope(|scope| {
                let body = || {
                    scheduler::sleep(Duration::from_secs(1)).unwrap();
                    ran.store(true, Relaxed);
                };
                scope.spawn(cells, body).unwrap().detach();
                panic!("half-way");
            })
        });
        assert_eq!(message, "half-way");
        assert!(ran.load(Relaxed));
    });
}

#[test]
fn a_scope_waits_although_its_owner_is_cancelled() {
    in_fiber(|scheduler, cells| {
        let owner = scheduler.spawn(cells, move || {
            let done = AtomicBool::new(false);
            scope(|scope| {
                let body = || {
                    scheduler::sleep(Duration::from_secs(1)).unwrap();
                    done.store(true, Relaxed);
                };
                scope.spawn(cells, body).unwrap().detach();
            });
            (done.load(Relaxed), scheduler::is_cancelled())
        });
        let owner = owner.unwrap();
        scheduler::yield_now();
        owner.cancel();
        assert_eq!(owner.join().unwrap(), (true, true));
    });
}

#[test]
fn scopes_are_nested() {
    in_fiber(|_, cells| {
        let mut sum = 0;
        scope(|outer| {
            let body = || {
                let part = AtomicI32::new(0);
                scope(|inner| {
                    inner
                        .spawn(cells, || part.fetch_add(3, Relaxed))
                        .unwrap()
                        .detach();
                    inner
                        .spawn(cells, || part.fetch_add(4, Relaxed))
                        .unwrap()
                        .detach();
                });
                sum = part.load(Relaxed);
            };
            outer.spawn(cells, body).unwrap().detach();
        });
        assert_eq!(sum, 7);
    });
}

#[test]
fn a_fiber_of_a_scope_makes_more_of_them() {
    in_fiber(|_, cells| {
        let count = AtomicI32::new(0);
        scope(|scope| {
            let count = &count;
            let body = move || {
                count.store(1, Relaxed);
                let later = move || {
                    scheduler::sleep(Duration::from_secs(1)).unwrap();
                    count.fetch_add(1, Relaxed);
                };
                scope.spawn(cells, later).unwrap().detach();
            };
            scope.spawn(cells, body).unwrap().detach();
        });
        assert_eq!(count.load(Relaxed), 2);
    });
}

#[test]
fn another_thread_makes_fibers_in_a_scope() {
    in_fiber(|_, cells| {
        let count = AtomicI32::new(0);
        scope(|scope| {
            std::thread::scope(|threads| {
                threads.spawn(|| {
                    scope
                        .spawn(cells, || count.fetch_add(1, Relaxed))
                        .unwrap()
                        .detach();
                });
            });
        });
        assert_eq!(count.load(Relaxed), 1);
    });
}

#[test]
fn a_pool_that_is_empty_gives_the_scoped_closure_back() {
    in_fiber(|_, cells| {
        let text = String::from("kept");
        scope(|scope| {
            for _ in 0..3 {
                scope.spawn(cells, || ()).unwrap().detach();
            }
            let error = scope.spawn(cells, || text.len()).unwrap_err();
            assert_eq!(error.kind, SpawnErrorKind::PoolExhausted { count: 4 });
            assert_eq!((error.closure)(), 4);
        });
    });
}

#[test]
fn an_empty_scope_returns_at_once() {
    assert_eq!(in_fiber(|_, _| scope(|_| 5)), 5);
}

#[test]
fn a_scoped_fiber_has_name_and_priority_and_its_owner_shows_what_it_waits_for() {
    in_fiber(|scheduler, cells| {
        scope(|scope| {
            let body = || {
                let states: Vec<_> = scheduler
                    .fibers()
                    .map(|info| (info.name, info.state))
                    .collect();
                assert!(matches!(
                    states.iter().find(|(name, _)| name.is_empty()),
                    Some((
                        _,
                        FiberState::Waiting {
                            reason: WaitReason::Scope,
                            ..
                        }
                    ))
                ));
                assert_eq!(scheduler::current_name(), "scoped");
            };
            let fiber = scope
                .spawn_as(cells, "scoped", Priority::LOWEST, body)
                .unwrap();
            let info = scheduler
                .fibers()
                .find(|info| info.id == fiber.id())
                .unwrap();
            assert_eq!(info.priority, Priority::LOWEST);
        });
    });
}

#[test]
fn a_scoped_fiber_is_cancelled() {
    in_fiber(|_, cells| {
        scope(|scope| {
            let fiber = scope
                .spawn(cells, || scheduler::sleep(Duration::MAX))
                .unwrap();
            fiber.cancel();
            assert!(fiber.join().unwrap().is_err());
        });
    });
}
