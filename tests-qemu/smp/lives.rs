//! Fibers are made, joined and ended everywhere, from pools that all cores share, and every `run` returns.

use core::{
    array,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
};

use kfiber::{
    platform::Core,
    scheduler::{FiberPool, JoinHandle, SpawnErrorKind, yield_now},
};
use tests_qemu::{command_line, cores, cpu::Random, kernel_test, println};

use crate::team::{self, STACK, team};

/// Fibers that make fibers, on each core.
const PARENTS: usize = 2;
/// Fewer than parents with four cores and more, so that the pool is exhausted again and again.
static CHILDREN: FiberPool<STACK, 7> = FiberPool::new();

static MADE: AtomicU64 = AtomicU64::new(0);
static REFUSED: AtomicU64 = AtomicU64::new(0);
static RAN_ON: [AtomicUsize; cores::MOST] = [const { AtomicUsize::new(0) }; cores::MOST];
static ALIVE: AtomicUsize = AtomicUsize::new(0);

kernel_test! {
    fn a_fiber_stays_on_its_core() cores(4) timeout(60) {
        let count = team::start();
        let fibers: [JoinHandle<()>; 16] = array::from_fn(|index| {
            team::spawn_on(index % count, move || {
                for _ in 0..100 {
                    assert_eq!(cores::this(), index % count);
                    yield_now();
                }
            })
        });
        team::run();
        fibers.into_iter().for_each(|fiber| fiber.try_join().expect("all have ended"));
    }

    /// Each of them waits until the others have begun, so that no core can run two of them one after the other.
    fn all_cores_run_fibers_at_the_same_time() cores(4) timeout(60) {
        let count = team::start();
        let fibers: [JoinHandle<()>; 4] = array::from_fn(|core| {
            team::spawn_on(core, move || {
                ALIVE.fetch_add(1, Ordering::Relaxed);
                while ALIVE.load(Ordering::Relaxed) < cores::count() {
                    core::hint::spin_loop();
                }
            })
        });
        team::run();
        assert_eq!(ALIVE.load(Ordering::Relaxed), count);
        fibers.into_iter().for_each(|fiber| fiber.try_join().expect("all have ended"));
    }

    fn two_cores_make_and_join_fibers_everywhere() cores(2) timeout(300) {
        team::start();
        spawn_and_join();
    }

    fn four_cores_make_and_join_fibers_everywhere() cores(4) timeout(300) {
        team::start();
        spawn_and_join();
    }

    fn eight_cores_make_and_join_fibers_everywhere() cores(8) timeout(300) {
        team::start();
        spawn_and_join();
    }

    /// The shortest shutdown: one fiber, which ends at once, on any core. A core that is not told hangs.
    fn a_thousand_shutdowns_end_on_every_core() cores(4) timeout(300) {
        let count = team::start();
        for round in 0..command_line::rounds(1_000) {
            let core = usize::try_from(round).expect("64 bits") % (count + 1);
            let fiber = if core == count { team::spawn(|| 1) } else { team::spawn_on(core, || 1) };
            team::run();
            assert_eq!(fiber.try_join().expect("it has ended"), 1);
        }
    }

    fn a_run_without_fibers_returns_on_every_core() cores(4) timeout(60) {
        team::start();
        for _ in 0..100 {
            team::run();
        }
    }

    /// All fibers are ready on one core when the runs begin; those that are not pinned may go elsewhere.
    fn a_run_ends_with_all_work_that_was_queued() cores(4) timeout(60) {
        team::start();
        let fibers: [JoinHandle<usize>; 64] = array::from_fn(|index| {
            let body = move || {
                yield_now();
                RAN_ON[cores::this()].fetch_add(1, Ordering::Relaxed);
                index
            };
            if index % 2 == 0 { team::spawn(body) } else { team::spawn_on(0, body) }
        });
        team::run();
        for (index, fiber) in fibers.into_iter().enumerate() {
            assert_eq!(fiber.try_join().expect("all have ended"), index);
        }
        let ran = RAN_ON.each_ref().map(|ran| ran.load(Ordering::Relaxed));
        println!("fibers by core: {ran:?}");
        assert_eq!(ran.iter().sum::<usize>(), 64);
        assert!(ran[0] >= 32, "the pinned ones stay");
    }

    fn all_cores_return_when_all_fibers_wait() cores(4) timeout(60) {
        let count = team::start();
        let fibers: [JoinHandle<()>; 8] = array::from_fn(|index| {
            team::spawn_on(index % count, || {
                ALIVE.fetch_add(1, Ordering::Relaxed);
                kfiber::scheduler::park().expect("nobody cancels it");
                ALIVE.fetch_sub(1, Ordering::Relaxed);
            })
        });
        team::run_until_idle();
        assert_eq!(ALIVE.load(Ordering::Relaxed), 8);
        assert_eq!(team().count_fibers(), 8);
        for fiber in &fibers {
            fiber.unparker().unpark();
        }
        team::run();
        assert_eq!(ALIVE.load(Ordering::Relaxed), 0);
        fibers.into_iter().for_each(|fiber| fiber.try_join().expect("all have ended"));
    }
}

fn spawn_and_join() {
    let rounds = command_line::rounds(2_000);
    let count = cores::count();
    let parents: [Option<JoinHandle<u64>>; PARENTS * cores::MOST] = array::from_fn(|index| {
        let core = index % count;
        let each = rounds / (PARENTS * count) as u64;
        (index < PARENTS * count).then(|| team::spawn_on(core, move || parent(index, each)))
    });
    team::run();
    let mut sum = 0;
    for parent in parents.into_iter().flatten() {
        sum += parent.try_join().expect("all have ended");
    }
    let (made, refused) = (
        MADE.load(Ordering::Relaxed),
        REFUSED.load(Ordering::Relaxed),
    );
    println!("{made} fibers were made; {refused} times the pool was exhausted");
    assert_eq!(sum, made, "results that arrived");
    assert_eq!(ALIVE.load(Ordering::Relaxed), 0);
    assert!(made >= rounds / 10);
}

/// Makes so many children on random cores and takes their results.
fn parent(index: usize, rounds: u64) -> u64 {
    let mut random = Random::new(command_line::seed() + index as u64);
    let mut results = 0;
    for _ in 0..rounds {
        let core = Core(usize::try_from(random.below(cores::count() as u64)).expect("small"));
        let is_pinned = random.below(2) == 0;
        let builder = team().builder();
        let builder = if is_pinned { builder.on(core) } else { builder };
        let yields = random.below(3);
        let child = builder.spawn(&CHILDREN, move || {
            let alive = ALIVE.fetch_add(1, Ordering::Relaxed) + 1;
            assert!(alive <= 7, "{alive} fibers in the cells of the pool");
            for _ in 0..yields {
                yield_now();
            }
            assert!(!is_pinned || cores::this() == core.0);
            ALIVE.fetch_sub(1, Ordering::Relaxed);
            1
        });
        match child {
            Ok(child) => {
                MADE.fetch_add(1, Ordering::Relaxed);
                results += child.join().expect("nobody cancels it");
            }
            Err(refused) => {
                assert!(
                    matches!(refused.kind, SpawnErrorKind::PoolExhausted { .. }),
                    "{refused:?}"
                );
                REFUSED.fetch_add(1, Ordering::Relaxed);
                yield_now();
            }
        }
    }
    results
}
