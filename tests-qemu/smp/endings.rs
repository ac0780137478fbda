//! A panic, a fault or an overflow on one core ends one fiber there; the fibers of all cores go on.

use core::{
    arch::asm,
    array,
    hint::black_box,
    panic::PanicInfo,
    sync::atomic::{AtomicUsize, Ordering},
};

use kfiber::{
    exceptions::handle,
    platform::Core,
    scheduler::{
        self, Failure, GuardedFiberPool, Hooks, JoinErrorKind, JoinHandle, Report, fiber_panicked,
        move_to, yield_now,
    },
    stack::{PAGE_SIZE, Storage, guard},
    sync::Mutex,
};
use tests_qemu::{
    cores,
    exceptions::{self, TrapFrame},
    kernel_test,
    paging::{FramePool, table},
    panic, println,
};
use x86_64::VirtAddr;

use crate::team::{self, team};

static CELLS: GuardedFiberPool<{ 8 * PAGE_SIZE }, 12> = GuardedFiberPool::new();
static REPORTS: AtomicUsize = AtomicUsize::new(0);
static WITNESSED: AtomicUsize = AtomicUsize::new(0);
static ENDED: AtomicUsize = AtomicUsize::new(0);
static HELD: Mutex<u64> = Mutex::new(0);

struct Told;

impl Hooks for Told {
    fn report(&self, report: &Report<'_>) {
        println!("{report}");
        if let Report::FiberFailed(_) | Report::Overflow(_) = report {
            REPORTS.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A way to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Panic,
    Fault,
    Overflow,
}

impl Way {
    const ALL: [Self; 3] = [Self::Panic, Self::Fault, Self::Overflow];

    fn fail(self) -> ! {
        match self {
            Self::Panic => panic!("out of cheese"),
            // SAFETY: the exception is what is wanted; whoever handles it does not come back.
            Self::Fault => unsafe { asm!("ud2") },
            Self::Overflow => {
                black_box(deeper(0));
            }
        }
        unreachable!("{self:?} was survived")
    }

    #[track_caller]
    fn check(self, failure: &Failure) {
        let is_right = match failure {
            Failure::Panicked(panic) => self == Self::Panic && panic.message == "out of cheese",
            Failure::Faulted(fault) => self == Self::Fault && fault.vector == 6,
            Failure::Overflowed(_) => self == Self::Overflow,
            _ => false,
        };
        assert!(is_right, "{self:?} became {failure}");
    }
}

kernel_test! {
    fn a_panic_on_one_core_ends_one_fiber() cores(4) timeout(60) {
        fail_on(1, Way::Panic);
    }

    fn a_fault_on_one_core_ends_one_fiber() cores(4) timeout(60) {
        fail_on(2, Way::Fault);
    }

    fn an_overflow_on_one_core_ends_one_fiber() cores(4) timeout(60) {
        fail_on(3, Way::Overflow);
    }

    /// All cores at once, each in another way.
    fn fibers_fail_on_all_cores_at_the_same_time() cores(4) timeout(60) {
        let count = start();
        let fibers: [JoinHandle<()>; 8] = array::from_fn(|index| {
            spawn(index % count, move || {
                WITNESSED.fetch_add(1, Ordering::AcqRel);
                while WITNESSED.load(Ordering::Acquire) < 4 {
                    yield_now();
                }
                Way::ALL[index % 3].fail()
            })
        });
        team::run();
        for (index, fiber) in fibers.into_iter().enumerate() {
            check(fiber, Way::ALL[index % 3]);
        }
        assert_eq!(REPORTS.load(Ordering::Relaxed), 8);
    }

    /// Each core and each way, after a move to that core; joined from another core.
    fn a_fiber_fails_in_every_way_on_every_core_that_it_moved_to() cores(4) timeout(120) {
        let count = start();
        let joiners: [JoinHandle<()>; 12] = array::from_fn(|index| {
            let (core, way) = (index % count, Way::ALL[index / count]);
            let fails = spawn((core + 1) % count, move || {
                move_to(Core(core)).expect("there is such a core");
                assert_eq!(cores::this(), core);
                way.fail()
            });
            team::spawn_on((core + 2) % count, move || check(fails, way))
        });
        team::run();
        for joiner in joiners {
            joiner.try_join().expect("all have failed as they should");
        }
        assert_eq!(REPORTS.load(Ordering::Relaxed), 12);
    }

    /// Its joiner is on another core, and the lock that it held is known there to be poisoned.
    fn another_core_learns_of_a_failure() cores(2) timeout(60) {
        start();
        let joiner = spawn(0, || {
            let fails = spawn(1, || {
                *HELD.lock() += 1;
                let _held = HELD.lock();
                Way::Panic.fail()
            });
            check(fails, Way::Panic);
            HELD.is_poisoned()
        });
        team::run();
        assert_eq!(joiner.try_join().ok(), Some(true), "the lock is poisoned");
        assert_eq!(REPORTS.load(Ordering::Relaxed), 1);
    }
}

/// Has failures contained on all cores. The guards go before other cores could have them in their TLB.
fn start() -> usize {
    for cell in CELLS.stacks() {
        // SAFETY: the only use of the table in this call.
        let mut table = unsafe { table() };
        let bounds = cell.storage_bounds();
        let level_4 = table.level_4_table_mut();
        // SAFETY: all memory is mapped one to one; nobody uses a guard's memory.
        let unmapped = unsafe { guard::unmap(bounds, level_4, VirtAddr::zero(), &mut FramePool) };
        unmapped.expect("frames are left");
    }
    let count = team::start();
    team().set_hooks(&Told);
    panic::first(on_panic);
    for vector in [6, 8, 12, 13, 14] {
        exceptions::hook(vector, on_exception);
    }
    count
}

fn spawn<T: Send + 'static>(
    core: usize,
    closure: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    let spawned = team().builder().on(Core(core)).spawn(&CELLS, closure);
    spawned.expect("a cell is free")
}

/// Has one fiber fail while two on each core keep what they have on their stacks.
fn fail_on(core: usize, way: Way) {
    let count = start();
    let witnesses: [JoinHandle<bool>; 8] = array::from_fn(|index| {
        spawn(index % count, move || {
            let mut mine = black_box([index; 64]);
            let mut turns = 0;
            // Some of the turns are after the failure.
            while turns < 100 || ENDED.load(Ordering::Acquire) == 0 {
                yield_now();
                mine.iter_mut().for_each(|word| *word += 1);
                black_box(&mut mine);
                turns += 1;
            }
            mine == [index + turns; 64]
        })
    });
    let fails = spawn(core, move || {
        for _ in 0..20 {
            yield_now();
        }
        assert_eq!(cores::this(), core);
        way.fail()
    });
    let joiner = spawn((core + 1) % count, move || {
        check(fails, way);
        ENDED.store(1, Ordering::Release);
    });
    team::run();
    joiner.try_join().expect("it has ended");
    for witness in witnesses {
        assert!(
            witness.try_join().expect("it has ended"),
            "a stack was changed"
        );
    }
    assert_eq!(REPORTS.load(Ordering::Relaxed), 1);
}

/// Joins it, also outside of fibers, and checks why it failed.
#[track_caller]
fn check(fiber: JoinHandle<()>, way: Way) {
    let joined = if scheduler::current().is_some() {
        fiber.join()
    } else {
        fiber.try_join()
    };
    match joined.expect_err("it failed").kind {
        JoinErrorKind::Failed(failure) => way.check(failure),
        other => panic!("not joined, but not for a failure: {other:?}"),
    }
}

fn on_panic(info: &PanicInfo<'_>) {
    let why = fiber_panicked(info);
    println!("fatal: {why}");
}

fn on_exception(frame: &mut TrapFrame) {
    // SAFETY: the exception has just come, and what the frame says is what is returned to.
    if let Err(why) = unsafe { handle(frame) } {
        println!("fatal: {why}");
        exceptions::report(frame);
    }
}

fn deeper(depth: u64) -> u64 {
    let here = black_box([depth; 64]);
    if here[0] == u64::MAX {
        return 0; // not with this stack
    }
    1 + deeper(here[0] + 1) + here[63]
}
