//! What the fibers of a program do: one random operation after the other, each done by the model first.

mod joins;

use crate::model::{Kind, Outcome, Slot, Wait};
use crate::world::{DROPS, Made, Output, World, with};
use core::time::Duration;
use joins::{block_on, join, joined, some_handle};
use kfiber::platform::{Host, Platform as _};
use kfiber::scheduler::{
    self, FiberCell, FiberState, JoinHandle, Priority, Scheduler, SpawnErrorKind, WaitError,
    WaitReason,
};

/// How many cells there are; the first is the supervisor's.
pub(crate) const SLOTS: usize = 12;
const LEVELS: [u8; 4] = [0, 15, 16, 31];
const SUPERVISOR_LEVEL: u8 = 16;
/// How many operations a program has before it is brought to its end.
const LENGTH: u64 = if cfg!(miri) { 150 } else { 2000 };

pub(crate) static SCHEDULER: Scheduler<Host> = Scheduler::new(Host::new());
static CELLS: [FiberCell<65536>; SLOTS] = [const { FiberCell::new() }; SLOTS];

type Handle = JoinHandle<Output>;

/// Makes the fiber of number `made.len()` in model and scheduler.
fn spawn(world: &mut World, slot: Slot, level: u8, by_interrupt: bool, body: fn(Slot)) {
    let number = world.made.len();
    let is_free = !world.model.fibers.contains_key(&slot);
    let priority = Priority::new(level).expect("below 32");
    let make = || {
        let builder = SCHEDULER.builder().name("random").priority(priority);
        builder.spawn(&CELLS[slot], move || {
            body(slot);
            Output(number)
        })
    };
    let made = if by_interrupt {
        Host::interrupt(make)
    } else {
        make()
    };
    match made {
        Ok(handle) => {
            assert!(is_free, "seed {:#x}: {slot} is in use", world.seed);
            DROPS.lock().expect("no holder panics").push(0);
            world.model.spawn(slot, level.into(), by_interrupt);
            world.tenants.insert(slot, number);
            world.made.push(Made {
                slot,
                id: handle.id(),
                unparker: handle.unparker(),
            });
            world.handles.insert(number, handle);
        }
        Err(error) => {
            assert_eq!(error.kind, SpawnErrorKind::CellInUse);
            assert!(!is_free, "seed {:#x}: {slot} is free", world.seed);
        }
    }
}

/// Makes the first fiber, from outside of fibers.
pub(crate) fn start_supervisor() {
    with(|world| spawn(world, 0, SUPERVISOR_LEVEL, true, supervise));
    with(|world| {
        world.handles.remove(&0).expect("just made").detach();
        world
            .model
            .fibers
            .get_mut(&0)
            .expect("just made")
            .is_detached = true;
        world.model.start();
    });
}

/// The running fiber says that it is the one in `slot`, and is compared with the model.
fn check(slot: Slot) {
    with(|world| {
        let seed = world.seed;
        let at = world.operations;
        world.operations += 1;
        assert_eq!(
            world.model.current,
            Some(slot),
            "seed {seed:#x}, operation {at}: another was to run"
        );
        assert_eq!(
            SCHEDULER.platform().now(),
            world.model.now,
            "seed {seed:#x}, operation {at}: the time"
        );
        let number = world.tenants[&slot];
        assert_eq!(
            scheduler::current(),
            Some(world.made[number].id),
            "seed {seed:#x}, operation {at}"
        );
        let is_cancelled = world.model.running().is_cancelled;
        assert_eq!(
            scheduler::is_cancelled(),
            is_cancelled,
            "seed {seed:#x}, operation {at}"
        );
        if at.is_multiple_of(16) {
            compare_lists(world);
        }
    });
}

/// Compares the process list.
fn compare_lists(world: &mut World) {
    let mut seen = 0;
    for info in SCHEDULER.fibers() {
        seen += 1;
        let (slot, number) = (0..SLOTS)
            .filter_map(|slot| Some((slot, *world.tenants.get(&slot)?)))
            .find(|(_, number)| world.made[*number].id == info.id)
            .expect("a fiber that was made");
        let fiber = &world.model.fibers[&slot];
        assert_eq!(usize::from(info.priority.level()), fiber.level);
        assert_eq!(info.name, "random");
        let is_right = match info.state {
            FiberState::Running => world.model.current == Some(slot),
            FiberState::Finished => fiber.is_finished,
            FiberState::Waiting { reason, .. } => {
                let expected = fiber.wait.map(|wait| match wait.kind {
                    Kind::Park => WaitReason::Park,
                    Kind::Sleep => WaitReason::Sleep,
                    Kind::Join(_) => WaitReason::Join,
                    Kind::Future(_) => WaitReason::Future,
                });
                fiber.is_parked && !fiber.is_woken && Some(reason) == expected
            }
            _ => !fiber.is_finished && (!fiber.is_parked || fiber.is_woken),
        };
        assert!(
            is_right,
            "seed {:#x}: {number} is {:?}, not {fiber:?}",
            world.seed, info.state
        );
    }
    assert_eq!(seen, world.model.fibers.len(), "seed {:#x}", world.seed);
}

/// Waits in the model; the caller then really does, and calls `compare`.
fn wait(kind: Kind, deadline: Option<u64>, is_shielded: bool) {
    let wait = Wait {
        kind,
        deadline,
        is_shielded,
    };
    with(|world| world.model.wait(wait));
}

fn compare(slot: Slot, outcome: Outcome) {
    with(|world| {
        let expected = world
            .model
            .fibers
            .get_mut(&slot)
            .and_then(|fiber| fiber.outcome.take());
        assert_eq!(
            Some(outcome),
            expected,
            "seed {:#x}, operation {}",
            world.seed,
            world.operations
        );
    });
    check(slot);
}

const fn outcome(result: Result<(), WaitError>, of_deadline: Outcome) -> Outcome {
    match result {
        Ok(()) => of_deadline,
        Err(WaitError::TimedOut) => Outcome::TimedOut,
        Err(WaitError::Cancelled) => Outcome::Cancelled,
    }
}

fn sleep(slot: Slot, nanoseconds: u64, is_shielded: bool) {
    let deadline = with(|world| world.model.now) + nanoseconds;
    let sleep = || scheduler::sleep(Duration::from_nanos(nanoseconds));
    if nanoseconds == 0 {
        with(|world| world.model.yield_now());
        let is_cancelled = sleep().is_err();
        assert_eq!(
            with(|world| world.model.running().is_cancelled),
            is_cancelled
        );
        return check(slot);
    }
    wait(Kind::Sleep, Some(deadline), is_shielded);
    let result = if is_shielded {
        scheduler::shield(sleep)
    } else {
        sleep()
    };
    compare(slot, outcome(result, Outcome::TimedOut));
}

/// Wakes a fiber by an id that may be stale.
fn unpark(world: &mut World, number: usize, by_interrupt: bool) {
    let made = &world.made[number];
    let fiber = world.model.fibers.get(&made.slot);
    let is_alive =
        world.tenants[&made.slot] == number && fiber.is_some_and(|fiber| !fiber.is_finished);
    let unparker = made.unparker;
    let was_alive = if by_interrupt {
        Host::interrupt(|| unparker.unpark())
    } else {
        unparker.unpark()
    };
    assert_eq!(
        was_alive, is_alive,
        "seed {:#x}, fiber {number}",
        world.seed
    );
    if is_alive {
        world
            .model
            .signal(made.slot, |fiber| fiber.has_token = true);
    }
}

fn cancel(world: &mut World, number: usize) {
    world.handles[&number].cancel();
    world
        .model
        .signal(world.made[number].slot, |fiber| fiber.is_cancelled = true);
}

/// Drops a handle: the fiber runs on, or its result goes with it.
fn detach() {
    let Some((_, other, handle)) = some_handle() else {
        return;
    };
    drop(handle);
    with(|world| {
        let fiber = world.model.fibers.get_mut(&other).expect("it had a handle");
        fiber.is_detached = true;
        if fiber.is_finished {
            world.model.fibers.remove(&other);
        }
    });
}

/// Wakes, cancels and makes fibers, so that the program goes on, and brings it to its end.
fn supervise(slot: Slot) {
    check(slot);
    loop {
        let is_over = with(|world| {
            world.is_closing = world.operations >= LENGTH;
            world.is_closing && world.model.live() == 1
        });
        if is_over {
            break;
        }
        with(|world| {
            let numbers: Vec<_> = world.handles.keys().copied().collect();
            for number in numbers {
                if world.is_closing || world.random.below(8) == 0 {
                    cancel(world, number);
                }
            }
            let tenants: Vec<_> = world.tenants.values().copied().collect();
            for number in tenants {
                if world.is_closing || world.random.below(3) == 0 {
                    unpark(world, number, false);
                }
            }
            if !world.is_closing {
                spawn_some(world);
            }
        });
        let time = with(|world| world.random.next() % 40);
        sleep(slot, time + 1, false);
    }
    with(|world| world.model.exit());
}

fn spawn_some(world: &mut World) {
    let slot = 1 + world.random.below(SLOTS - 1);
    let level = LEVELS[world.random.below(LEVELS.len())];
    let by_interrupt = world.random.below(3) == 0;
    spawn(world, slot, level, by_interrupt, live);
}

/// One operation after the other.
fn live(slot: Slot) {
    check(slot);
    while !with(|world| world.is_closing) {
        let (dice, time) = with(|world| (world.random.below(24), world.random.next() % 50));
        match dice {
            0 => break,
            1..=5 => {
                with(|world| world.model.yield_now());
                scheduler::yield_now();
                check(slot);
            }
            6 => {
                wait(Kind::Park, None, false);
                compare(slot, outcome(scheduler::park(), Outcome::Done));
            }
            7 => {
                let deadline = with(|world| world.model.now) + time;
                wait(Kind::Park, Some(deadline), false);
                let result = scheduler::park_timeout(Duration::from_nanos(time));
                compare(slot, outcome(result, Outcome::Done));
            }
            8..=9 => sleep(slot, time, false),
            10 => sleep(slot, time + 1, true),
            11 => join(slot, None),
            12..=13 => join(slot, Some(time)),
            14 => block_on(slot),
            15 => {
                if let Some((number, other, handle)) = some_handle() {
                    joined(number, other, handle.try_join());
                }
            }
            16 => detach(),
            17 => with(|world| {
                let index = world.random.below(world.handles.len().max(1));
                if let Some(number) = world.handles.keys().nth(index).copied() {
                    cancel(world, number);
                }
            }),
            18 => {
                SCHEDULER.platform().advance(time);
                with(|world| world.model.now += time);
            }
            19 => {
                Host::interrupt(|| SCHEDULER.timer_interrupt());
                with(|world| world.model.timer_interrupt());
            }
            20..=21 => with(spawn_some),
            _ => with(|world| {
                let oldest = world.made.len().saturating_sub(30);
                let number = oldest + world.random.below(world.made.len() - oldest);
                let by_interrupt = world.random.below(2) == 0;
                unpark(world, number, by_interrupt);
            }),
        }
        check(slot);
    }
    with(|world| world.model.exit());
}
