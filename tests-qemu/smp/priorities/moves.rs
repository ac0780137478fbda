//! An inherited level follows an owner that moves, and nothing of it is left behind.

use core::{
    array,
    mem::ManuallyDrop,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use kfiber::{
    platform::Core,
    scheduler::{
        Failure, FiberCell, Hooks, JoinErrorKind, JoinHandle, Priority, Report, Unparker, current,
        move_to, park, sleep, yield_now,
    },
    stack::{FLOOR_BYTES, Storage as _},
    sync::Mutex,
};
use tests_qemu::{command_line, cores, cpu::Random, interrupts::on_tick, kernel_test, println};

use super::{DONE, HIGH, HOGS, LOCKS, LOW, STEP, await_level, await_step, level, spawn_on};
use crate::{
    kicks::{self, SCHEDULER, SLEEPS},
    machine::start_cores,
    team::{self, CELLS, team},
};

const FIBERS: usize = 12;

kernel_test! {
    /// The owner moves about while those that wait for it come and go.
    fn a_level_follows_an_owner_that_moves() cores(4) timeout(120) {
        let count = team::start();
        let waiter = spawn_on(0, HIGH, || {
            let mut timeouts = 0_u64;
            while STEP.load(Ordering::Acquire) != DONE {
                match LOCKS[0].lock_timeout(Duration::from_micros(300)) {
                    Ok(guard) => drop(guard),
                    Err(_timed_out) => timeouts += 1,
                }
                // The owner may be on this core, and has no mutex now and then.
                sleep(Duration::from_micros(50)).expect("nobody cancels it");
            }
            timeouts
        });
        let owner = spawn_on(1, LOW, move || {
            let mut random = Random::new(command_line::seed());
            for _ in 0..command_line::rounds(300) {
                let guard = LOCKS[0].lock();
                for _ in 0..random.below(4) {
                    let to = usize::try_from(random.below(count as u64)).expect("small");
                    move_to(Core(to)).expect("there is such a core");
                    for _ in 0..random.below(50) {
                        core::hint::spin_loop();
                    }
                }
                await_level(HIGH); // whoever waits comes again
                drop(guard);
                assert_eq!(level(), LOW);
                move_to(Core(usize::try_from(random.below(count as u64)).expect("small"))).expect("it exists");
                assert_eq!(level(), LOW);
            }
            STEP.store(DONE, Ordering::Release);
        });
        team::run();
        owner.try_join().expect("it has ended");
        println!("{} timeouts", waiter.try_join().expect("it has ended"));
    }

    /// The owner is ready on core 1, behind a fiber that does not yield, and core 0 sleeps. The request to raise it arrives
    /// at core 1 before that gives it away, and is found afterwards.
    fn a_level_follows_an_owner_that_is_given_away() cores(2) timeout(60) {
        start_cores();
        on_tick(|_| SCHEDULER.timer_interrupt());
        let owner = SCHEDULER.builder().priority(LOW).spawn(&CELLS, || {
            move_to(Core(1)).expect("there is such a core");
            let guard = LOCKS[0].lock();
            // One of two that are ready is given away, and this one is pinned.
            spawn_there(1, LOW, || while STEP.load(Ordering::Acquire) != DONE { yield_now(); });
            let spins = spawn_there(1, Priority::NORMAL, || {
                STEP.store(1, Ordering::Release);
                while STEP.load(Ordering::Acquire) < 2 || SLEEPS[0].load(Ordering::SeqCst) == BEFORE.load(Ordering::Relaxed) {
                    core::hint::spin_loop();
                }
                park().expect("nobody cancels it");
            });
            yield_now();
            assert_eq!(cores::this(), 0, "it was given away");
            spins.unpark();
            while own_level() != HIGH {
                yield_now();
            }
            drop(guard);
            assert_eq!(own_level(), LOW);
        });
        spawn_there(0, HIGH, || {
            await_step(1);
            drop(LOCKS[0].lock());
            STEP.store(DONE, Ordering::Release);
        });
        // It runs when that one waits, and core 0 has nothing to do then.
        spawn_there(0, LOW, || {
            BEFORE.store(SLEEPS[0].load(Ordering::SeqCst), Ordering::Relaxed);
            STEP.store(2, Ordering::Release);
        });
        kicks::run();
        owner.expect("a cell is free").try_join().expect("it has ended");
    }

    /// What it lent is taken back, as it leaves the line.
    fn a_waiter_that_fails_takes_back_what_it_lent() cores(2) timeout(60) {
        static CELL: FiberCell<{ team::STACK }> = FiberCell::new();
        team::start();
        team().set_hooks(&Told);
        let owner = spawn_on(1, LOW, || {
            let guard = LOCKS[0].lock();
            STEP.store(1, Ordering::Release);
            await_step(2);
            await_level(LOW);
            drop(guard);
        });
        let id = owner.id();
        let fails = team().builder().on(Core(0)).priority(HIGH).spawn(&CELL, || {
            await_step(1);
            // This is noticed when it leaves its stack, in line.
            // SAFETY: this is the damage.
            unsafe { CELL.storage_bounds().bottom().wrapping_add(FLOOR_BYTES - 1).write_volatile(0) };
            drop(LOCKS[0].lock());
        });
        let fails = fails.expect("the cell is free");
        spawn_on(0, LOW, move || {
            let failed = fails.join().map_err(|error| error.kind);
            assert!(matches!(failed, Err(JoinErrorKind::Failed(Failure::Overflowed(_)))), "it overflowed: {failed:?}");
            assert_eq!(team().priority_of(id), LOW, "it has taken it back");
            STEP.store(2, Ordering::Release);
        }).detach();
        team::run();
        owner.try_join().expect("it has ended");
    }

    /// Fibers of core 1 end with a mutex for which one of core 0 waits or gives up at that moment, and the next ones begin in
    /// their cells.
    fn an_owner_that_ends_with_its_mutex_leaves_no_level_to_the_next_in_its_cell() cores(2) timeout(120) {
        static LEAKED: [Mutex<()>; 500] = [const { Mutex::new(()) }; 500];
        static CELL: FiberCell<{ team::STACK }> = FiberCell::new();
        static ROUND: AtomicUsize = AtomicUsize::new(0);
        team::start();
        let waiter = spawn_on(0, HIGH, || {
            let mut random = Random::new(command_line::seed());
            for (round, mutex) in LEAKED.iter().enumerate() {
                while ROUND.load(Ordering::Acquire) < round {
                    yield_now();
                }
                while ROUND.load(Ordering::Acquire) == round {
                    let timeout = Duration::from_micros(random.below(30));
                    drop(mutex.lock_timeout(timeout));
                }
            }
        });
        let owners = spawn_on(1, LOW, || {
            let mut random = Random::new(command_line::seed() + 1);
            for (round, mutex) in LEAKED.iter().enumerate() {
                let spins = random.below(500);
                let builder = team().builder().on(Core(1)).priority(LOW);
                let owner = builder.spawn(&CELL, move || {
                    assert_eq!(level(), LOW, "the last one left a level");
                    let _leaked = ManuallyDrop::new(mutex.lock());
                    for _ in 0..spins {
                        core::hint::spin_loop();
                    }
                });
                owner.expect("the cell is free").join().expect("it returns");
                ROUND.store(round + 1, Ordering::Release);
            }
        });
        team::run();
        waiter.try_join().expect("it has ended");
        owners.try_join().expect("it has ended");
    }

    /// Fibers of all levels lock up to three mutexes, with and without deadlines, and move. Whoever has none has its own
    /// level again.
    fn nothing_is_left_behind_by_random_locks_and_moves() cores(4) timeout(240) {
        let count = team::start();
        let fibers: [JoinHandle<u64>; FIBERS] = array::from_fn(|index| {
            let own = Priority::new(u8::try_from(index * 31 / FIBERS).expect("small")).expect("below 32");
            spawn_on(index % count, own, move || {
                // Pinned to where it began, unless it says so itself.
                let mut random = Random::new(command_line::seed() + index as u64);
                let mut locked = 0;
                for _ in 0..command_line::rounds(400) {
                    locked += lock_some(&mut random, 0);
                    assert_eq!(level(), own, "it has no mutex");
                    // Those of lower priority on this core want to run as well.
                    sleep(Duration::from_micros(random.below(300))).expect("nobody cancels it");
                }
                locked
            })
        });
        team::run();
        let locked: u64 = fibers.into_iter().map(|fiber| fiber.try_join().expect("it has ended")).sum();
        let counted = team::ask(|| LOCKS.each_ref().map(|lock| *lock.lock()).into_iter().sum::<u64>());
        assert_eq!(counted, locked);
        assert_eq!(HOGS.load(Ordering::Relaxed), 0);
    }
}

struct Told;

impl Hooks for Told {
    fn report(&self, report: &Report<'_>) {
        println!("{report}");
    }
}

/// How often core 0 had slept at a moment.
static BEFORE: AtomicUsize = AtomicUsize::new(0);

/// Makes a fiber of the scheduler whose cores count how often they sleep.
fn spawn_there(
    core: usize,
    priority: Priority,
    closure: impl FnOnce() + Send + 'static,
) -> Unparker {
    let builder = SCHEDULER.builder().on(Core(core)).priority(priority);
    let fiber = builder.spawn(&CELLS, closure).expect("a cell is free");
    let unparker = fiber.unparker();
    fiber.detach();
    unparker
}

/// Returns the level at which the running fiber of that scheduler is scheduled.
fn own_level() -> Priority {
    let id = current().expect("a fiber runs");
    let found = SCHEDULER.fibers().find(|fiber| fiber.id == id);
    found.expect("it runs").priority
}

/// Locks some of the mutexes behind `first`, in their order, and does various things meanwhile. Returns how many it locked.
fn lock_some(random: &mut Random, first: usize) -> u64 {
    let Some(behind) = LOCKS.get(first..).filter(|behind| !behind.is_empty()) else {
        return 0;
    };
    let index = first + usize::try_from(random.below(behind.len() as u64)).expect("small");
    let guard = match random.below(3) {
        0 => LOCKS[index].lock_timeout(Duration::from_micros(random.below(400))),
        _ => Ok(LOCKS[index].lock()),
    };
    let Ok(mut guard) = guard else {
        return 0;
    };
    *guard += 1;
    match random.below(4) {
        0 => yield_now(),
        1 => {
            let to = random.below(cores::count() as u64);
            move_to(Core(usize::try_from(to).expect("small"))).expect("there is such a core");
        }
        2 => sleep(Duration::from_micros(random.below(100))).expect("nobody cancels it"),
        _ => {}
    }
    1 + lock_some(random, index + 1)
}
