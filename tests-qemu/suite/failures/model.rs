//! Nothing of a fiber reaches another one by surprise, on a bare machine: what is left behind, who fails, who gets a turn.
#![expect(clippy::mem_forget, reason = "what is left behind is what is tested")]

use core::{
    future::poll_fn,
    iter, mem,
    sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    task::{Poll, Waker},
    time::Duration,
};

use kfiber::{
    fiber::{Fiber, Resumed, Yielder},
    scheduler::{
        Failure, FiberCell, WaitError, block_on, current, is_cancelled, shield, sleep,
        without_waiting, yield_now,
    },
    stack::{Stack, Storage},
    sync::{IrqMutex, Mutex},
};
use tests_qemu::kernel_test;
use x86_64::instructions::interrupts;

use super::{CELLS, SCHEDULER, STACK, contain, failure_of, reports, run_all, spawn};

/// More polls than a future needs that lets others run in between.
const TOO_MANY: u32 = 1000;

static INSIDE: Stack<STACK> = Stack::new();
static ONE: FiberCell<STACK> = FiberCell::new();
static WORDS: IrqMutex<u32> = IrqMutex::new(0);

struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        panic!("in a destructor");
    }
}

/// A fiber inside the running one, left in the middle of `within`, which calls what it is given.
fn leaves_within(within: fn(&dyn Fn())) {
    let body = move |yielder: &Yielder<(), ()>, ()| within(&|| yielder.suspend(()));
    let mut fiber = Fiber::new(INSIDE.take().expect("the first"), body).expect("fits");
    assert_eq!(fiber.resume(()), Resumed::Yielded(()));
}

/// Whoever ends by `ending` fails with a panic, and the others go on.
fn is_the_one_that_fails(ending: fn()) {
    contain();
    let before = spawn(turns);
    let culprit = spawn(ending);
    let innocent = spawn(turns);
    run_all();
    let failure = failure_of(culprit.try_join());
    assert!(matches!(failure, Failure::Panicked(_)), "{failure}");
    for other in [before, innocent] {
        assert_eq!(other.try_join().expect("ended"), 5);
    }
    assert_eq!(reports(), 1);
    let later = spawn(|| sleep(Duration::from_micros(50)));
    run_all();
    assert_eq!(later.try_join().expect("ended"), Ok(()));
}

/// Lets others run, and says how often.
fn turns() -> u32 {
    (0..5).map(|_| yield_now()).map(|()| 1).sum()
}

/// Fills all cells that are left, and says how many these are.
fn cells_left() -> usize {
    let left = iter::from_fn(|| SCHEDULER.spawn(&CELLS, || {}).ok());
    left.map(kfiber::scheduler::JoinHandle::detach).count()
}

kernel_test! {
    fn a_shield_does_not_outlive_its_fiber() {
        contain();
        SCHEDULER.spawn(&ONE, || leaves_within(|suspend| shield(suspend))).expect("free").detach();
        run_all();
        let next = SCHEDULER.spawn(&ONE, || sleep(Duration::from_millis(50))).expect("free again");
        next.cancel();
        run_all();
        assert_eq!(next.try_join().expect("ended"), Err(WaitError::Cancelled));
    }

    fn the_owner_of_a_leaked_guard_is_not_the_next_in_its_cell() {
        static LOCK: Mutex<u32> = Mutex::new(0);
        contain();
        SCHEDULER.spawn(&ONE, || mem::forget(LOCK.lock())).expect("free").detach();
        run_all();
        let next = SCHEDULER.spawn(&ONE, || {
            let is_owner = LOCK.owner() == current();
            (is_owner, LOCK.lock_timeout(Duration::from_micros(50)).is_ok())
        });
        let next = next.expect("free again");
        run_all();
        assert_eq!(next.try_join().expect("ended"), (false, false));
    }

    fn neither_a_cancellation_nor_a_wake_outlive_a_fiber() {
        contain();
        let first = SCHEDULER.spawn(&ONE, yield_now).expect("free");
        let unparker = first.unparker();
        first.cancel();
        unparker.unpark();
        run_all();
        drop(first);
        let next = SCHEDULER.spawn(&ONE, || {
            let parked = kfiber::scheduler::park_timeout(Duration::from_micros(50));
            (parked, is_cancelled())
        });
        let next = next.expect("free again");
        assert!(!unparker.unpark(), "it is another one");
        run_all();
        assert_eq!(next.try_join().expect("ended"), (Err(WaitError::TimedOut), false));
    }

    fn a_fiber_that_ends_with_interrupts_off_is_the_one_that_fails() {
        is_the_one_that_fails(|| mem::forget(WORDS.lock()));
    }

    fn a_fiber_that_turned_interrupts_off_and_ends_is_the_one_that_fails() {
        is_the_one_that_fails(interrupts::disable);
    }

    fn a_fiber_that_ends_with_interrupts_off_after_a_wait_is_the_one_that_fails() {
        is_the_one_that_fails(|| {
            let _slept = sleep(Duration::from_micros(50));
            mem::forget(WORDS.lock());
        });
    }

    fn a_fiber_that_ends_where_waiting_is_forbidden_is_the_one_that_fails() {
        is_the_one_that_fails(|| leaves_within(|suspend| without_waiting(suspend)));
    }

    fn a_future_that_wakes_itself_lets_others_run_between_two_polls() {
        static IS_SET: AtomicBool = AtomicBool::new(false);
        contain();
        let polls = spawn(|| {
            let mut polls = 0;
            block_on(poll_fn(|context| {
                polls += 1;
                if IS_SET.load(Relaxed) || polls == TOO_MANY {
                    return Poll::Ready(polls);
                }
                context.waker().wake_by_ref();
                Poll::Pending
            }))
        });
        spawn(|| IS_SET.store(true, Relaxed)).detach();
        run_all();
        let polls = polls.try_join().expect("ended");
        assert!(polls < TOO_MANY, "nobody ran between {polls} polls");
    }

    fn two_futures_that_wake_each_other_let_a_third_fiber_run() {
        static WAKERS: [IrqMutex<Option<Waker>>; 2] = [const { IrqMutex::new(None) }; 2];
        static IS_SET: AtomicBool = AtomicBool::new(false);
        static POLLS: AtomicU32 = AtomicU32::new(0);
        contain();
        let [first, second] = [(0, 1), (1, 0)].map(|(mine, other): (usize, usize)| spawn(move || {
            block_on(poll_fn(|context| {
                *WAKERS[mine].lock() = Some(context.waker().clone());
                let is_set = IS_SET.load(Relaxed);
                if let Some(waker) = WAKERS[other].lock().take() {
                    waker.wake();
                }
                if is_set || POLLS.fetch_add(1, Relaxed) >= TOO_MANY {
                    return Poll::Ready(is_set);
                }
                Poll::Pending
            }))
        }));
        spawn(|| IS_SET.store(true, Relaxed)).detach();
        run_all();
        for fiber in [first, second] {
            assert!(fiber.try_join().expect("ended"), "nobody else ran");
        }
    }

    fn a_detached_result_whose_destructor_panics_costs_its_cell_and_nothing_else() {
        contain();
        spawn(|| PanicsWhenDropped).detach();
        let other = spawn(turns);
        run_all();
        assert_eq!(other.try_join().expect("ended"), 5);
        assert_eq!((reports(), CELLS.lost_cells()), (1, 1));
        assert_eq!(cells_left(), 11);
        run_all();
    }

    fn a_result_detached_after_its_end_whose_destructor_panics_costs_the_one_that_drops_it() {
        contain();
        let dropper = spawn(|| {
            let ended = spawn(|| PanicsWhenDropped);
            (0..3).for_each(|_| yield_now());
            assert!(ended.is_finished());
            ended.detach();
        });
        let other = spawn(turns);
        run_all();
        assert!(matches!(failure_of(dropper.try_join()), Failure::Panicked(_)));
        assert_eq!(other.try_join().expect("ended"), 5);
        assert_eq!(cells_left() + CELLS.lost_cells(), 12);
        run_all();
    }

    fn a_closure_whose_captures_panic_when_dropped_fails_with_its_fiber() {
        contain();
        let captured = PanicsWhenDropped;
        let failed = spawn(move || {
            let _captured = &captured;
            yield_now();
        });
        let other = spawn(turns);
        run_all();
        assert!(matches!(failure_of(failed.try_join()), Failure::Panicked(_)));
        assert_eq!(other.try_join().expect("ended"), 5);
        assert_eq!(CELLS.lost_cells(), 1);
    }
}
