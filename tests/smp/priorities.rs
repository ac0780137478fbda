//! Priority is inherited between cores, and goes back.

use crate::cores::{Cells, run, scheduler};
use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use kfiber::platform::{Core, Host};
use kfiber::scheduler::{self, FiberId, JoinHandle, Priority, Scheduler, yield_now};
use kfiber::sync::{LockError, Mutex};

const LOW: Priority = Priority::new(3).unwrap();
const HIGH: Priority = Priority::new(25).unwrap();

fn spawn_on<const CORES: usize, T: Send + 'static>(
    scheduler: &'static Scheduler<Host, CORES>,
    cells: &'static Cells<16>,
    (core, priority): (usize, Priority),
    closure: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    let builder = scheduler.builder().on(Core(core)).priority(priority);
    builder.spawn(cells, closure).unwrap()
}

fn level_of<const CORES: usize>(
    scheduler: &'static Scheduler<Host, CORES>,
    id: FiberId,
) -> Priority {
    let found = scheduler.fibers().find(|fiber| fiber.id == id);
    found.unwrap().priority
}

fn own_level<const CORES: usize>(scheduler: &'static Scheduler<Host, CORES>) -> Priority {
    level_of(scheduler, scheduler::current().unwrap())
}

fn await_step(step: &AtomicUsize, number: usize) {
    while step.load(Ordering::Acquire) < number {
        yield_now();
    }
}

/// Without inheritance the hog would keep the owner from running for ever.
#[test]
fn an_owner_on_another_core_runs_before_those_in_between() {
    static CELLS: Cells<16> = Cells::new();
    static VALUE: Mutex<()> = Mutex::new(());
    static STEP: AtomicUsize = AtomicUsize::new(0);
    let scheduler = scheduler::<2>();
    let owner = spawn_on(scheduler, &CELLS, (1, LOW), move || {
        let guard = VALUE.lock();
        let hog = || {
            STEP.store(1, Ordering::Release);
            await_step(&STEP, 2);
        };
        let hog = spawn_on(scheduler, &CELLS, (1, Priority::NORMAL), hog);
        yield_now();
        let lent = own_level(scheduler);
        drop(guard);
        hog.join().unwrap();
        [lent, own_level(scheduler)]
    });
    let waiter = spawn_on(scheduler, &CELLS, (0, HIGH), || {
        await_step(&STEP, 1);
        drop(VALUE.lock());
        STEP.store(2, Ordering::Release);
    });
    run(scheduler);
    assert_eq!(owner.try_join().unwrap(), [HIGH, LOW]);
    waiter.try_join().unwrap();
}

#[test]
fn a_level_goes_along_a_chain_of_cores_and_is_taken_back_by_who_gives_up() {
    static CELLS: Cells<16> = Cells::new();
    static LOCKS: [Mutex<()>; 3] = [const { Mutex::new(()) }; 3];
    static STEP: AtomicUsize = AtomicUsize::new(0);
    let scheduler = scheduler::<4>();
    let chain: [JoinHandle<()>; 3] = core::array::from_fn(|index| {
        spawn_on(scheduler, &CELLS, (index, LOW), move || {
            await_step(&STEP, index);
            let own = LOCKS[index].lock();
            STEP.store(index + 1, Ordering::Release);
            if index == 0 {
                await_step(&STEP, 5);
            } else {
                drop(LOCKS[index - 1].lock());
            }
            drop(own);
            assert_eq!(own_level(scheduler), LOW);
        })
    });
    let ids = chain.each_ref().map(JoinHandle::id);
    let watch = spawn_on(scheduler, &CELLS, (3, Priority::LOWEST), move || {
        await_step(&STEP, 4);
        while ids.map(|id| level_of(scheduler, id)) != [HIGH; 3] {
            yield_now();
        }
        STEP.store(5, Ordering::Release);
    });
    let waiter = spawn_on(scheduler, &CELLS, (3, HIGH), move || {
        await_step(&STEP, 3);
        let gave_up = LOCKS[2].lock_timeout(Duration::ZERO).map(drop);
        assert_eq!(gave_up, Err(LockError::TimedOut));
        assert_eq!(ids.map(|id| level_of(scheduler, id)), [LOW; 3]);
        STEP.store(4, Ordering::Release);
        drop(LOCKS[2].lock());
    });
    run(scheduler);
    for fiber in chain {
        fiber.try_join().unwrap();
    }
    waiter.try_join().unwrap();
    watch.try_join().unwrap();
}
