//! A cell that is used again: whatever its last fiber did, and whoever had the handle, the next one is as new.

use crate::{ONE, S, assert_names, child, contain, end_of, settle, spawn};
use core::future::Future as _;
use core::pin::Pin;
use core::task::{Context, Waker};
use core::time::Duration;
use kfiber::platform::{Host, Platform as _};
use kfiber::scheduler::{
    JoinHandle, Priority, Registers, Scope, Watchdog, current, scope, sleep, yield_now,
};

#[test]
fn neither_turns_nor_the_longest_run_outlive_a_fiber() {
    static WATCHDOG: Watchdog = Watchdog::new(Duration::from_secs(3600));
    const MILLISECOND: u64 = 1_000_000;
    /// How often the running fiber was switched to, and for how long it ran at most.
    fn own() -> (u64, u64) {
        let me = current().unwrap();
        let info = S.fibers().find(|info| info.id == me).unwrap();
        (info.switches, info.longest_run)
    }
    child::passes(|| {
        contain();
        let first = S
            .spawn(&ONE, || {
                sleep(Duration::from_nanos(1)).unwrap();
                for _ in 0..9 {
                    S.platform().advance(MILLISECOND);
                    let registers = Registers {
                        rip: 0,
                        rsp: 0,
                        rbp: 0,
                    };
                    Host::interrupt(|| WATCHDOG.tick(&S, S.platform().now(), registers));
                }
                let (switches, longest_run) = own();
                assert_eq!(switches, 2);
                assert!(longest_run >= MILLISECOND, "{longest_run}");
            })
            .unwrap();
        S.run();
        assert_eq!(end_of(first), Ok(()));
        let next = S.spawn(&ONE, own).unwrap();
        S.run();
        assert_eq!(end_of(next), Ok((1, 0)));
    });
}

#[test]
fn a_scope_does_not_outlive_its_fiber() {
    /// Runs `f` in a scope that lies where the last one lay.
    #[inline(never)]
    fn in_scope(f: &dyn for<'scope> Fn(&'scope Scope<'scope, '_>)) {
        scope(|scope| f(scope));
    }
    child::passes(|| {
        contain();
        let owner = spawn("owner", || {
            in_scope(&|scope| {
                let fiber = scope.spawn_as(&ONE, "in a scope", Priority::NORMAL, settle);
                fiber.unwrap().detach();
            });
            // It fails, and is of no scope. That of its cell has ended.
            in_scope(&|_| {
                let fiber = S.spawn(&ONE, || panic!("on purpose")).unwrap();
                let message = end_of(fiber_that_ended(fiber)).unwrap_err();
                assert_names(&message, &["on purpose"]);
            });
        });
        S.run();
        assert_eq!(end_of(owner), Ok(()));
    });
}

/// Returns the handle when the fiber has ended.
fn fiber_that_ended(fiber: JoinHandle<()>) -> JoinHandle<()> {
    while !fiber.is_finished() {
        yield_now();
    }
    fiber
}

#[test]
fn a_fiber_is_joined_whatever_became_of_the_handle_on_the_last_one_in_its_cell() {
    child::passes(|| {
        contain();
        let all = spawn("all", || {
            let made = || {
                let body = || {
                    yield_now();
                    "result".to_owned()
                };
                S.spawn(&ONE, body).unwrap()
            };
            let poll = |handle: &mut JoinHandle<String>| {
                Pin::new(handle).poll(&mut Context::from_waker(Waker::noop()))
            };
            let take = |handle: JoinHandle<String>| drop(handle.join().unwrap());
            let uses: [&dyn Fn(); 8] = [
                &|| take(made()),
                &|| {
                    let handle = made();
                    settle();
                    assert_eq!(handle.try_join().unwrap(), "result");
                },
                &|| {
                    made().detach();
                    settle();
                },
                &|| {
                    let handle = made();
                    settle();
                    drop(handle);
                },
                &|| take(made().join_timeout(Duration::ZERO).unwrap_err().handle),
                &|| {
                    let mut handle = made();
                    assert!(poll(&mut handle).is_pending());
                    settle();
                    assert!(poll(&mut handle).is_ready());
                },
                &|| {
                    let mut handle = made();
                    assert!(poll(&mut handle).is_pending());
                    take(handle);
                },
                &|| {
                    let mut handle = made();
                    assert!(poll(&mut handle).is_pending());
                    drop(handle);
                    settle();
                },
            ];
            for first in uses {
                for next in uses {
                    first();
                    next();
                }
            }
        });
        S.run();
        assert_eq!(end_of(all), Ok(()));
    });
}
