//! Waiting where it is forbidden, and running a scheduler from where it cannot be run.

use super::{fresh, in_fiber, message_of};
use core::time::Duration;
use kfiber::fiber::{Fiber, Resumed, Yielder};
use kfiber::platform::Host;
use kfiber::scheduler::{self, FiberLocal, JoinHandle};
use kfiber::stack::{Stack, Storage as _};
use kfiber::sync::IrqMutex;

fn waits() -> [(&'static str, fn()); 7] {
    const SECOND: Duration = Duration::from_secs(1);
    [
        ("yield", || scheduler::yield_now()),
        ("park", || scheduler::park().unwrap()),
        ("park_timeout", || scheduler::park_timeout(SECOND).unwrap()),
        ("park_until", || scheduler::park_until(u64::MAX).unwrap()),
        ("sleep_until", || scheduler::sleep_until(u64::MAX).unwrap()),
        ("block_on", || scheduler::block_on(core::future::ready(()))),
        ("scope", || scheduler::scope(|_| ())),
    ]
}

/// Each wait panics with this phrase, at a place in this file.
fn all_panic(phrase: &str, place: fn(fn())) {
    for (name, wait) in waits() {
        let message = message_of(|| place(wait));
        assert!(message.contains(phrase), "{name}: {message}");
    }
}

#[test]
fn waiting_outside_of_a_fiber_panics() {
    let message = message_of(scheduler::yield_now);
    assert!(message.contains("outside of a fiber"), "{message}");
    for (name, wait) in waits() {
        let message = message_of(wait);
        assert!(message.contains("outside of a fiber"), "{name}: {message}");
    }
}

#[test]
fn waiting_in_an_interrupt_handler_panics() {
    in_fiber(|_, _| {
        all_panic("in an interrupt handler", Host::interrupt);
        scheduler::yield_now();
    });
}

#[test]
fn waiting_in_an_interrupt_handler_outside_of_fibers_panics() {
    all_panic("outside of a fiber", Host::interrupt);
}

#[test]
fn waiting_under_without_waiting_panics() {
    in_fiber(|_, _| {
        all_panic("`without_waiting`", scheduler::without_waiting);
        scheduler::yield_now();
    });
}

#[test]
fn both_places_are_named_where_it_was_tried_and_where_it_was_forbidden() {
    static IRQ: IrqMutex<()> = IrqMutex::new(());
    std::thread_local! {
        static TRIED: core::cell::RefCell<Option<String>> = const { core::cell::RefCell::new(None) };
    }
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        TRIED.set(info.location().map(ToString::to_string));
        before(info);
    }));
    let here = |line: u32, column: u32| format!("tests/scheduler_misuse/places.rs:{line}:{column}");
    in_fiber(move |_, _| {
        let tried = || TRIED.take().unwrap();
        let [forbidden, at] = [line!() + 2, line!() + 3];
        let message = message_of(|| {
            scheduler::without_waiting(|| {
                scheduler::yield_now();
            });
        });
        assert!(message.contains(&here(forbidden, 13)), "{message}");
        assert_eq!(tried(), here(at, 17));

        let [forbidden, at] = [line!() + 2, line!() + 3];
        let message = message_of(|| {
            let _guard = IRQ.lock();
            scheduler::yield_now();
        });
        assert!(message.contains(&here(forbidden, 30)), "{message}");
        assert_eq!(tried(), here(at, 13));

        // The outermost counts, and an older place is not blamed.
        let forbidden = line!() + 2;
        let message = message_of(|| {
            scheduler::without_waiting(|| {
                let _guard = IRQ.try_lock().unwrap();
                scheduler::yield_now();
            });
        });
        assert!(message.contains(&here(forbidden, 13)), "{message}");
        let message = message_of(|| Host::interrupt(scheduler::yield_now));
        assert!(!message.contains("places.rs"), "{message}");
        assert!(message.contains("in an interrupt handler"), "{message}");
        scheduler::yield_now();
    });
}

#[test]
fn a_destructor_may_wait_while_the_fiber_may() {
    struct Waits;
    impl Drop for Waits {
        fn drop(&mut self) {
            scheduler::sleep(Duration::from_secs(1)).unwrap();
        }
    }
    let now = in_fiber(|_, _| {
        drop(Waits);
        let message = message_of(|| scheduler::without_waiting(|| drop(Waits)));
        assert!(
            message.contains("forbidden by `without_waiting`"),
            "{message}"
        );
        scheduler::now()
    });
    assert_eq!(now, 1_000_000_000);
}

#[test]
fn without_waiting_is_nested_and_ends_with_the_outermost() {
    in_fiber(|_, _| {
        scheduler::without_waiting(|| {
            scheduler::without_waiting(|| ());
            let message = message_of(scheduler::yield_now);
            assert!(message.contains("`without_waiting`"), "{message}");
        });
        scheduler::yield_now();
    });
}

#[test]
fn a_guard_that_is_dropped_where_waiting_is_forbidden_may_allow_it() {
    in_fiber(|_, _| {
        let lock = IrqMutex::new(());
        let guard = lock.lock();
        scheduler::without_waiting(|| drop(guard));
        scheduler::yield_now();
    });
}

#[test]
#[cfg_attr(
    any(miri, kfiber_threads),
    ignore = "there, what forbids waiting belongs to the thread that plays the fiber"
)]
fn a_fiber_that_forbids_waiting_and_is_resumed_where_it_is_forbidden_allows_it_again() {
    static STACK: Stack<65536> = Stack::new();
    in_fiber(|_, _| {
        let forbids = |yielder: &Yielder<(), ()>, ()| {
            scheduler::without_waiting(|| yielder.suspend(()));
        };
        let mut fiber = Fiber::new(STACK.take().unwrap(), forbids).unwrap();
        assert_eq!(fiber.resume(()), Resumed::Yielded(()));
        let message = message_of(scheduler::yield_now);
        assert!(message.contains("`without_waiting`"), "{message}");
        scheduler::without_waiting(|| assert_eq!(fiber.resume(()), Resumed::Returned(())));
        scheduler::yield_now();
    });
}

#[test]
fn without_waiting_outside_of_fibers_changes_nothing() {
    assert_eq!(scheduler::without_waiting(|| 5), 5);
    assert_eq!(scheduler::current(), None);
    let message = message_of(scheduler::yield_now);
    assert!(message.contains("outside of a fiber"), "{message}");
}

#[test]
fn waking_and_spawning_work_where_waiting_does_not() {
    in_fiber(|scheduler, cells| {
        let make = |number: u32| scheduler.spawn(cells, move || number);
        let fibers = [
            scheduler::without_waiting(|| make(1)),
            Host::interrupt(|| make(2)),
            Host::interrupt(|| scheduler::without_waiting(|| make(3))),
        ];
        let fibers = fibers.map(Result::unwrap);
        scheduler::without_waiting(|| assert!(fibers[0].unparker().unpark()));
        assert_eq!(fibers.map(|fiber| fiber.join().unwrap()), [1, 2, 3]);
    });
}

#[test]
fn a_switch_that_never_comes_leaves_the_running_fiber_known() {
    in_fiber(|_, _| {
        let id = scheduler::current();
        message_of(|| scheduler::without_waiting(scheduler::yield_now));
        message_of(|| Host::interrupt(scheduler::yield_now));
        assert_eq!(scheduler::current(), id);
        scheduler::yield_now();
        assert_eq!(scheduler::current(), id);
    });
}

#[test]
fn asking_for_the_time_outside_of_a_fiber_panics() {
    let message = message_of(scheduler::now);
    assert!(
        message.contains("call the `now` of the platform"),
        "{message}"
    );
    for message in [
        message_of(|| scheduler::after(Duration::ZERO)),
        message_of(|| scheduler::sleep(Duration::ZERO)),
    ] {
        assert!(message.contains("only fibers can wait"), "{message}");
    }
}

#[test]
fn a_shield_outside_of_a_fiber_panics() {
    let message = message_of(|| scheduler::shield(|| ()));
    assert!(
        message.contains("only fibers can be cancelled"),
        "{message}"
    );
}

#[test]
fn outside_of_fibers_nobody_runs() {
    assert_eq!(scheduler::current(), None);
    assert_eq!(scheduler::unparker(), None);
    assert_eq!(scheduler::current_name(), "");
    assert!(!scheduler::is_cancelled());
    assert_eq!(scheduler::check_cancelled(), Ok(()));
}

#[test]
fn a_handler_sees_the_fiber_that_it_interrupted() {
    in_fiber(|_, _| {
        let id = scheduler::current();
        assert!(id.is_some());
        assert_eq!(Host::interrupt(scheduler::current), id);
        assert_eq!(
            Host::interrupt(scheduler::unparker).map(|unparker| unparker.id()),
            id
        );
    });
}

#[test]
fn running_a_scheduler_from_its_own_fiber_panics() {
    let message = in_fiber(|scheduler, _| message_of(|| scheduler.run()));
    assert!(message.contains("run from a fiber"), "{message}");
}

#[test]
fn running_until_idle_from_a_fiber_panics() {
    let message = in_fiber(|scheduler, _| message_of(|| scheduler.run_until_idle()));
    assert!(message.contains("run from a fiber"), "{message}");
}

#[test]
fn running_another_scheduler_from_a_fiber_panics() {
    let (other, cells) = fresh();
    let fiber = other.spawn(cells, || 3).unwrap();
    let message = in_fiber(move |_, _| message_of(|| other.run()));
    assert!(message.contains("run from a fiber"), "{message}");
    other.run();
    assert_eq!(fiber.try_join().unwrap(), 3, "nothing was spoilt");
}

#[test]
fn running_a_scheduler_on_a_second_thread_panics() {
    let message = in_fiber(|scheduler, _| {
        let thread = std::thread::spawn(move || message_of(|| scheduler.run()));
        thread.join().unwrap()
    });
    assert!(message.contains("running already"), "{message}");
}

#[test]
fn listing_fibers_from_a_second_thread_panics_while_they_run() {
    let message = in_fiber(|scheduler, _| {
        let thread = std::thread::spawn(move || message_of(|| scheduler.fibers().count()));
        thread.join().unwrap()
    });
    assert!(message.contains("one of them only"), "{message}");
}

#[test]
fn a_list_that_was_begun_before_the_run_is_not_continued_elsewhere() {
    let (scheduler, cells) = fresh();
    let list = scheduler.fibers();
    let fiber = scheduler.spawn(cells, move || {
        let thread = std::thread::spawn(move || message_of(|| list.count()));
        thread.join().unwrap()
    });
    scheduler.run();
    let message = fiber.unwrap().try_join().unwrap();
    assert!(message.contains("one of them only"), "{message}");
}

#[test]
fn a_scheduler_without_fibers_returns_at_once_and_runs_again_and_again() {
    let (scheduler, cells) = fresh();
    scheduler.run();
    scheduler.run_until_idle();
    for number in 0..3 {
        let fiber: JoinHandle<u32> = scheduler.spawn(cells, move || number).unwrap();
        scheduler.run();
        assert_eq!(fiber.try_join().unwrap(), number);
    }
}

#[test]
fn a_scheduler_that_was_idle_goes_on_where_it_was() {
    let (scheduler, cells) = fresh();
    let fiber = scheduler.spawn(cells, || {
        scheduler::sleep(Duration::from_secs(1)).unwrap();
        scheduler::park().unwrap();
        scheduler::now()
    });
    let fiber = fiber.unwrap();
    scheduler.run_until_idle();
    assert!(!fiber.is_finished());
    scheduler.platform().advance(2_000_000_000);
    scheduler.run_until_idle();
    assert!(!fiber.is_finished());
    assert!(fiber.unparker().unpark());
    scheduler.run();
    assert_eq!(fiber.try_join().unwrap(), 2_000_000_000);
}

#[test]
fn a_fiber_local_outside_of_fibers_is_unbound_and_cannot_be_bound() {
    static LOCAL: FiberLocal<u32> = FiberLocal::new();
    assert!(LOCAL.with(|value| value.is_none()));
    let message = message_of(|| LOCAL.bind(&1, || ()));
    assert!(message.contains("bound outside of a fiber"), "{message}");
}

#[test]
fn fiber_locals_are_each_fibers_own_and_nest() {
    static LOCAL: FiberLocal<u32> = FiberLocal::new();
    static OTHER: FiberLocal<u32> = FiberLocal::new();
    let get = || LOCAL.with(|value| value.copied());
    in_fiber(move |scheduler, cells| {
        LOCAL.bind(&1, || {
            let other = scheduler.spawn(cells, move || {
                assert_eq!(get(), None, "not inherited");
                LOCAL.bind(&7, || {
                    scheduler::yield_now();
                    get()
                })
            });
            scheduler::yield_now();
            assert_eq!(get(), Some(1));
            OTHER.bind(&9, || LOCAL.bind(&2, || assert_eq!(get(), Some(2))));
            message_of(|| LOCAL.bind(&3, || panic!("half-way")));
            assert_eq!(get(), Some(1));
            assert_eq!(OTHER.with(|value| value.copied()), None);
            assert_eq!(other.unwrap().join().unwrap(), Some(7));
        });
        assert_eq!(get(), None);
    });
}

#[test]
fn a_fiber_within_a_fiber_has_no_fiber_locals() {
    use kfiber::fiber::{Fiber, Yielder};
    use kfiber::stack::{Stack, Storage as _};
    static LOCAL: FiberLocal<u32> = FiberLocal::new();
    static STACK: Stack<65536> = Stack::new();
    in_fiber(|_, _| {
        LOCAL.bind(&1, || {
            let body = |_: &Yielder<(), ()>, ()| {
                assert!(LOCAL.with(|value| value.is_none()));
                message_of(|| LOCAL.bind(&2, || ()))
            };
            let mut inner = Fiber::new(STACK.take().unwrap(), body).unwrap();
            let Resumed::Returned(message) = inner.resume(()) else {
                panic!("it does not suspend");
            };
            assert!(message.contains("bound outside of a fiber"), "{message}");
            assert_eq!(LOCAL.with(|value| value.copied()), Some(1));
        });
    });
}
