//! Misuse is a panic that says what to do instead.

use core::{
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use kfiber::{
    fiber::{Fiber, Resumed, Yielder},
    scheduler::{
        self, FiberLocal, JoinHandle, park, scope, shield, sleep, without_waiting, yield_now,
    },
    stack::{Stack, Storage as _},
    sync::IrqMutex,
};
use tests_qemu::{
    interrupts::{on_tick, start_one_shot, ticks},
    kernel_test,
};
use x86_64::instructions::interrupts;

use super::{SCHEDULER, in_a_fiber, run_with_interrupts, spawn};

/// Calls `misuse` in an interrupt handler that interrupts a fiber.
fn in_a_handler(misuse: fn(&mut tests_qemu::exceptions::TrapFrame)) {
    on_tick(misuse);
    spawn(|| {
        start_one_shot(1_000);
        while ticks() == 0 {
            core::hint::spin_loop();
        }
    })
    .detach();
    run_with_interrupts();
}

kernel_test! {
    fn yielding_outside_of_fibers_panics() panics("waiting outside of a fiber") {
        interrupts::enable();
        yield_now();
    }

    fn parking_outside_of_fibers_panics() panics("waiting outside of a fiber") {
        interrupts::enable();
        let _ = park();
    }

    fn joining_outside_of_fibers_panics() panics("waiting outside of a fiber") {
        interrupts::enable();
        let _result = spawn(|| ()).join();
    }

    fn sleeping_outside_of_fibers_panics() panics("outside of a fiber") {
        interrupts::enable();
        let _ = sleep(Duration::from_secs(1));
    }

    fn a_future_outside_of_fibers_panics() panics("waiting outside of a fiber") {
        interrupts::enable();
        scheduler::block_on(async {});
    }

    fn a_scope_outside_of_fibers_panics() panics("waiting outside of a fiber") {
        interrupts::enable();
        scope(|_| ());
    }

    fn a_shield_outside_of_fibers_panics() panics("`shield` was called outside of a fiber") {
        shield(|| ());
    }

    fn binding_a_local_outside_of_fibers_panics() panics("bound outside of a fiber") {
        static LOCAL: FiberLocal<u32> = FiberLocal::new();
        LOCAL.bind(&1, || ());
    }

    fn asking_for_the_time_outside_of_fibers_panics() panics("call the `now` of the platform instead") {
        let _ = scheduler::now();
    }

    fn yielding_in_an_interrupt_handler_panics() panics("wake a fiber that waits instead") {
        in_a_handler(|_| yield_now());
    }

    fn parking_in_an_interrupt_handler_panics() panics("wake a fiber that waits instead") {
        in_a_handler(|_| {
            let _ = park();
        });
    }

    fn yielding_with_interrupts_off_panics() panics("interrupts off") {
        in_a_fiber(|| {
            interrupts::disable();
            yield_now();
        });
    }

    /// Though there would be nothing to wait for.
    fn sleeping_no_time_with_interrupts_off_panics() panics("interrupts off") {
        in_a_fiber(|| interrupts::without_interrupts(|| sleep(Duration::ZERO)).is_ok());
    }

    fn waiting_where_it_is_forbidden_panics() panics("forbidden by `without_waiting`") {
        in_a_fiber(|| without_waiting(yield_now));
    }

    fn waiting_is_allowed_again_after_the_outermost_that_forbids_it() {
        in_a_fiber(|| {
            without_waiting(|| without_waiting(|| ()));
            yield_now();
        });
    }

    fn waiting_is_still_forbidden_after_an_inner_one_that_forbids_it() panics("forbidden by `without_waiting`") {
        in_a_fiber(|| without_waiting(|| {
            without_waiting(|| ());
            yield_now();
        }));
    }

    /// There are other ready fibers, to which the yields switch.
    fn a_guard_that_is_dropped_where_waiting_is_forbidden_may_allow_it() {
        static LOCK: IrqMutex<()> = IrqMutex::new(());
        in_a_fiber(|| {
            spawn(|| (0..4).for_each(|_| yield_now())).detach();
            for _ in 0..2 {
                let guard = LOCK.lock();
                without_waiting(|| drop(guard));
                yield_now();
            }
        });
    }

    fn a_fiber_that_forbids_waiting_and_is_resumed_where_it_is_forbidden_allows_it_again() {
        static STACK: Stack<{ super::STACK }> = Stack::new();
        in_a_fiber(|| {
            spawn(|| (0..4).for_each(|_| yield_now())).detach();
            let stack = STACK.take().expect("nobody has it");
            let mut fiber = Fiber::new(stack, |yielder: &Yielder<(), ()>, ()| {
                without_waiting(|| yielder.suspend(()));
            })
            .expect("it fits");
            assert_eq!(fiber.resume(()), Resumed::Yielded(()));
            without_waiting(|| assert_eq!(fiber.resume(()), Resumed::Returned(())));
            yield_now();
            yield_now();
        });
    }

    fn running_a_scheduler_from_its_own_fiber_panics() panics("a scheduler was run from a fiber") {
        in_a_fiber(|| SCHEDULER.run());
    }

    fn running_another_scheduler_from_a_fiber_panics() panics("a scheduler was run from a fiber") {
        static OTHER: scheduler::Scheduler<tests_qemu::platform::Bare> =
            scheduler::Scheduler::new(tests_qemu::platform::bare());
        in_a_fiber(|| OTHER.run_until_idle());
    }

    /// From a handler that interrupts the loop while it sleeps: no fiber runs, and yet it is too late.
    fn running_a_scheduler_twice_panics() panics("the scheduler is running already") icount {
        on_tick(|_| SCHEDULER.run());
        spawn(|| {
            start_one_shot(100_000);
            park().is_ok()
        })
        .detach();
        run_with_interrupts();
    }

    fn listing_fibers_in_a_handler_panics() panics("can be listed by one of them only") {
        in_a_handler(|_| assert!(SCHEDULER.fibers().count() < 9));
    }

    fn a_handle_that_was_ready_is_not_polled_again() panics("used after its result was taken") {
        let mut fiber: JoinHandle<()> = spawn(|| ());
        interrupts::enable();
        SCHEDULER.run();
        let mut context = Context::from_waker(Waker::noop());
        let mut poll = || Future::poll(Pin::new(&mut fiber), &mut context);
        assert_eq!(poll(), Poll::Ready(Ok(())));
        let _ = poll();
    }

    fn a_panic_in_a_fiber_is_reported_with_its_message() panics("fiber 7 has had enough") {
        in_a_fiber(|| {
            yield_now();
            panic!("fiber {} has had enough", 7);
        });
    }

    /// The other fibers may run meanwhile, but no more than these.
    fn a_run_without_fibers_returns_at_once() {
        run_with_interrupts();
        run_with_interrupts();
        assert_eq!(SCHEDULER.platform().sleeps(), 0);
    }
}
