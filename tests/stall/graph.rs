//! The graph of waits, asked for at any time: every kind of wait, with its place, since when, and who could end it.

use crate::{World, plain};
use core::time::Duration;
use kfiber::platform::Host;
use kfiber::scheduler::{self, Scheduler, WaitGraph, WaitReason, WaitsFor};
use kfiber::sync::bitflags::bitflags;
use kfiber::sync::{Barrier, Channel, Condvar, Event, Mutex, Semaphore, WaitQueue, Wanted};

bitflags! {
    #[derive(Clone, Copy)]
    struct Flags: u32 {
        const IS_THERE = 1;
    }
}

fn text_of(scheduler: &'static Scheduler<Host>) -> String {
    scheduler.wait_graph(|graph| graph.to_string()).unwrap()
}

#[test]
fn every_kind_of_wait_is_in_the_graph_in_words() {
    static MUTEX: Mutex<()> = Mutex::new(());
    static SEMAPHORE: Semaphore = Semaphore::new(0);
    static CONDVAR: Condvar = Condvar::new();
    static BARRIER: Barrier = Barrier::new(2);
    static CHANNEL: Channel<u32, 1> = Channel::new();
    static QUEUE: WaitQueue = WaitQueue::new();
    static EVENT: Event<Flags> = Event::new(Flags::empty());

    type Body = fn() -> bool;
    let waits: [(&str, Body); 8] = [
        ("to be unparked", || scheduler::park().is_ok()),
        ("for a moment", || {
            scheduler::sleep(Duration::from_secs(1)).is_ok()
        }),
        ("in the queue @", || QUEUE.wait().is_ok()),
        ("for a permit of the semaphore @", || {
            SEMAPHORE.acquire().is_ok()
        }),
        ("for the condition variable @", || {
            CONDVAR.wait(&mut MUTEX.lock()).is_ok()
        }),
        ("at the barrier @", || BARRIER.wait().is_ok()),
        ("for a message of the channel @", || CHANNEL.recv().is_ok()),
        ("for flags of the event @", || {
            EVENT.wait(Wanted::all(Flags::IS_THERE)).is_ok()
        }),
    ];
    for (words, body) in waits {
        let world = World::new();
        world.spawn("waiter", move || {
            let _now = scheduler::now();
            assert!(!body());
        });
        world.scheduler.platform().advance(2_500_000_000);
        world.scheduler.run_until_idle();
        let look = |graph: &WaitGraph<'_>| (plain(&graph.to_string()), graph.fibers().next());
        let (text, fiber) = world.scheduler.wait_graph(look).unwrap();
        let start =
            format!("  \"waiter\" (@) waits {words} since t = 2.500 s at tests/stall/graph.rs:");
        assert!(text.starts_with(&start), "{text}");
        let fiber = fiber.unwrap();
        assert!(!fiber.is_stuck);
        let waits_for = match fiber.reason {
            WaitReason::Sleep => WaitsFor::Clock,
            WaitReason::Barrier => WaitsFor::Fibers,
            _ => WaitsFor::Anybody,
        };
        assert_eq!(fiber.waits_for, waits_for, "{words}");
    }
}

#[test]
fn since_when_is_what_the_clock_said_when_the_loop_last_looked() {
    let world = World::new();
    let scheduler = world.scheduler;
    world.spawn("early", move || {
        scheduler.platform().advance(1_000_000_000);
        let _parked = scheduler::park(); // nobody has looked since
    });
    world.spawn("exact", move || {
        let _now = scheduler::now();
        let _parked = scheduler::park();
    });
    scheduler.run_until_idle();
    let since = scheduler.wait_graph(|graph| {
        let since = graph.fibers().map(|fiber| (fiber.name, fiber.since));
        since.collect::<Vec<_>>()
    });
    assert_eq!(since.unwrap(), [("exact", 1_000_000_000), ("early", 0)]);
}

#[test]
fn a_graph_of_nobody_says_so() {
    let world = World::new();
    assert_eq!(text_of(world.scheduler), "  no fiber waits");
}

#[test]
fn while_a_graph_is_looked_at_from_outside_the_scheduler_does_not_run() {
    let world = World::new();
    let looked = world.scheduler.wait_graph(|_| {
        let again = world.scheduler.wait_graph(|_| ());
        assert!(again.is_none(), "it is looked at already");
        let message = crate::panic_of(|| world.scheduler.run());
        assert!(message.contains("running already"), "{message}");
    });
    assert!(looked.is_some());
    world.scheduler.run();
}

#[test]
fn while_a_fiber_looks_at_the_graph_it_must_not_wait_and_afterwards_it_may() {
    let world = World::new();
    let scheduler = world.scheduler;
    world.spawn("curious", move || {
        let forbidden_in = line!() + 1;
        let message = crate::panic_of(|| scheduler.wait_graph(|_| scheduler::yield_now()));
        assert!(
            message.contains(&format!(
                "`wait_graph` since tests/stall/graph.rs:{forbidden_in}"
            )),
            "{message}"
        );
        scheduler::yield_now(); // allowed again, though the look was left by a panic
        assert_eq!(scheduler.wait_graph(|_| 7), Some(7));
        scheduler::yield_now();
    });
    world.spawn("other", || scheduler::yield_now());
    assert_eq!(world.run(), [""; 0]);
}

#[test]
fn in_an_interrupt_handler_there_is_no_graph() {
    let world = World::new();
    let scheduler = world.scheduler;
    world.spawn("curious", move || {
        let look = || scheduler.wait_graph(|_| ());
        assert!(Host::interrupt(look).is_none());
        assert!(look().is_some());
    });
    assert_eq!(world.run(), [""; 0]);
}

#[test]
fn who_was_handed_a_mutex_and_has_yet_to_run_does_not_wait() {
    let world = World::new();
    let scheduler = world.scheduler;
    let lock = std::sync::Arc::new(Mutex::new(()));
    let other = std::sync::Arc::clone(&lock);
    world.spawn("giver", move || {
        let guard = lock.lock();
        scheduler::yield_now();
        let waiting = |name| {
            let count = |graph: &WaitGraph<'_>| {
                let fibers = graph.fibers();
                fibers.filter(|fiber| fiber.name == name).count()
            };
            scheduler.wait_graph(count).unwrap()
        };
        assert_eq!(waiting("taker"), 1);
        drop(guard);
        assert!(lock.is_locked());
        assert_eq!(waiting("taker"), 0);
    });
    world.spawn("taker", move || drop(other.lock()));
    assert_eq!(world.run(), [""; 0]);
}

#[test]
fn the_address_in_the_text_is_that_of_the_thing() {
    static SEMAPHORE: Semaphore = Semaphore::new(0);
    let world = World::new();
    world.spawn("waiter", || assert!(SEMAPHORE.acquire().is_ok()));
    world.scheduler.run_until_idle();
    let text = text_of(world.scheduler);
    assert!(
        text.contains(&format!(
            "the semaphore {:p} since t = ",
            &raw const SEMAPHORE
        )),
        "{text}"
    );
    SEMAPHORE.release(1).unwrap();
    world.scheduler.run();
}
