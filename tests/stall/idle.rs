//! All fibers wait: when that is hopeless, when it is not, and what the kernel may make of it.

use crate::{World, panic_of, plain};
use core::time::Duration;
use kfiber::platform::Host;
use kfiber::scheduler::{self, AfterDeadlock, AfterStall, FiberPool, Scheduler, StallKind};
use kfiber::sync::{Barrier, Channel, Mutex, RwLock};
use std::sync::Arc;

#[test]
fn run_panics_without_hooks_when_nothing_can_ever_run_again() {
    static S: Scheduler<Host> = Scheduler::new(Host::new());
    static CELLS: FiberPool<65536, 2> = FiberPool::new();
    S.builder()
        .name("owner")
        .spawn(&CELLS, || {
            let lock = Mutex::new(());
            let guard = lock.lock();
            // The end of a scope cannot fail, so it waits though that closes a cycle.
            scheduler::scope(|scope| {
                scope.spawn(&CELLS, || drop(lock.lock())).unwrap().detach();
                scheduler::yield_now();
            });
            drop(guard);
        })
        .unwrap()
        .detach();
    let message = panic_of(|| S.run());
    assert!(
        message.starts_with("all fibers of a scheduler wait, and nothing can ever wake them"),
        "{message}"
    );
}

#[test]
fn run_panics_after_the_report_if_the_kernel_wants_it() {
    let world = World::answering(AfterDeadlock::Wait, Some(AfterStall::Panic));
    world.spawn("greedy", || {
        let lock = RwLock::new(());
        let _reads = lock.read();
        let _writes = lock.write();
    });
    let message = panic_of(|| world.scheduler.run());
    assert!(
        message.starts_with("all fibers of a scheduler wait"),
        "{message}"
    );
    let reports = world.kernel.reports.lock().unwrap();
    assert!(
        reports[1].starts_with(
            "stalled: 1 fiber waits, and nothing can ever wake it\n  \"greedy\" (@) waits to write"
        ),
        "{reports:#?}"
    );
    assert!(
        reports[1].ends_with("cycle: \"greedy\" (@) needs \"greedy\" (@)"),
        "{reports:#?}"
    );
}

#[test]
fn fibers_that_lack_one_at_a_barrier_are_reported() {
    let world = World::new();
    let barrier = Arc::new(Barrier::new(3));
    for name in ["one", "two"] {
        let barrier = Arc::clone(&barrier);
        world.spawn(name, move || {
            let _turn = barrier.wait();
        });
    }
    let reports = world.run();
    assert_eq!(
        world.kernel.kinds.lock().unwrap()[..],
        [StallKind::NeedsOtherFibers]
    );
    assert!(reports[0].starts_with("stalled: 2 fibers wait, and only a new fiber or one of another scheduler could wake them\n"), "{reports:#?}");
    assert!(
        reports[0].contains(
            "\"two\" (@) waits at the barrier @ since t = 0.000 s at tests/stall/idle.rs:"
        ),
        "{reports:#?}"
    );
}

#[test]
fn a_fiber_that_an_interrupt_wakes_later_is_no_stall() {
    let world = World::answering(AfterDeadlock::Wait, Some(AfterStall::Sleep));
    let channel = Arc::new(Channel::<u32, 2>::new());
    let other = Arc::clone(&channel);
    let waiting = world.scheduler.spawn(world.cells, move || {
        scheduler::park().unwrap();
        channel.recv().unwrap()
    });
    let waiting = waiting.unwrap();
    let waker = waiting.unparker();
    // Another thread plays the interrupts: it wakes the fiber when the loop sleeps.
    let (kernel, stalls) = (world.kernel, |count| {
        move |kernel: &crate::Kernel| kernel.kinds.lock().unwrap().len() >= count
    });
    let interrupts = std::thread::spawn(move || {
        while !stalls(1)(kernel) {
            std::thread::yield_now();
        }
        assert!(waker.unpark());
        while !stalls(2)(kernel) {
            std::thread::yield_now();
        }
        other.try_send(7).unwrap();
    });
    world.scheduler.run();
    interrupts.join().unwrap();
    assert_eq!(waiting.try_join().unwrap(), 7);
    let kinds = world.kernel.kinds.lock().unwrap();
    assert!(
        kinds.iter().all(|kind| *kind == StallKind::Idle),
        "{kinds:?}"
    );
}

#[test]
fn sleepers_are_no_stall() {
    let world = World::new();
    world.spawn("sleeper", || {
        scheduler::sleep(Duration::from_secs(3)).unwrap();
    });
    world.spawn("patient", || {
        let _parked = scheduler::park_timeout(Duration::from_secs(5));
    });
    assert_eq!(world.run(), [""; 0]);
}

#[test]
fn a_run_that_returned_from_a_stall_can_be_run_again() {
    let world = World::new();
    let fiber = world
        .scheduler
        .spawn(world.cells, || scheduler::park().is_ok());
    let fiber = fiber.unwrap();
    assert_eq!(world.run().len(), 1);
    assert_eq!(world.run().len(), 1, "told again: it is another run");
    fiber.unparker().unpark();
    assert_eq!(world.run(), [""; 0]);
    assert!(fiber.try_join().unwrap());
}

#[test]
fn the_same_stall_is_told_once_though_the_processor_wakes_for_nothing() {
    let world = World::answering(AfterDeadlock::Wait, Some(AfterStall::Sleep));
    let fiber = world.scheduler.spawn(world.cells, || {
        let lock = RwLock::new(());
        let _reads = lock.read();
        let _writes = lock.write();
    });
    let waker = fiber.unwrap().unparker();
    let kernel = world.kernel;
    let scheduler = world.scheduler;
    let _for_ever = std::thread::spawn(move || scheduler.run());
    while kernel.kinds.lock().unwrap().is_empty() {
        std::thread::yield_now();
    }
    for _ in 0..100 {
        // Woken for nothing, it waits again.
        waker.unpark();
        std::thread::yield_now();
    }
    assert_eq!(kernel.kinds.lock().unwrap()[..], [StallKind::Deadlocked]);
    assert_eq!(plain("fiber 7f0012345678.12 at 0x55550000"), "fiber @ at @");
}
