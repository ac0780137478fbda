//! The sleep queue beside a model of it, and how many nodes a step visits.

use super::Sleepers;
use super::tree::{Member, Side};
use crate::platform::{NEVER, Nanoseconds};
use crate::scheduler::task::header::Header;
use crate::scheduler::task::wait::{Giver, Kind, Wait, WaitReason};
use core::cell::Cell;
use core::panic::Location;
use core::ptr;
use std::boxed::Box;
use std::collections::BTreeSet;
use std::vec::Vec;

extern crate std;

static KIND: Kind = Kind::new(WaitReason::Sleep, Giver::Anybody);

std::thread_local! {
    static VISITS: Cell<usize> = const { Cell::new(0) };
}

/// Called whenever the queue follows a pointer to a node.
pub(super) fn count_visit(wait: *const Wait) {
    if !wait.is_null() {
        VISITS.set(VISITS.get() + 1);
    }
}

/// Waits with a queue, and what the queue should contain.
struct World {
    queue: Sleepers,
    waits: Box<[Wait]>,
    /// The deadline and the order of arrival of those that sleep, and which ones they are.
    model: BTreeSet<(Nanoseconds, usize, usize)>,
    places: Vec<Option<(Nanoseconds, usize)>>,
    arrivals: usize,
    /// The most visits of one step.
    longest: usize,
    /// The visits of all steps.
    visits: usize,
    steps: usize,
}

impl World {
    fn new(count: usize) -> Self {
        let wait = |_| Wait::new(&KIND, ptr::null(), Location::caller(), 0);
        Self {
            queue: Sleepers::new(),
            waits: (0..count).map(wait).collect(),
            model: BTreeSet::new(),
            places: std::vec![None; count],
            arrivals: 0,
            longest: 0,
            visits: 0,
            steps: 0,
        }
    }

    /// The header by which a fiber is known here. Nobody looks into it.
    const fn fiber(index: usize) -> *const Header {
        ptr::without_provenance(index + 1)
    }

    fn step<R>(&mut self, step: impl FnOnce(&Self) -> R) -> R {
        VISITS.set(0);
        let result = step(self);
        self.longest = self.longest.max(VISITS.get());
        self.visits += VISITS.get();
        self.steps += 1;
        result
    }

    fn insert(&mut self, index: usize, deadline: Nanoseconds) {
        self.arrivals += 1;
        self.places[index] = Some((deadline, self.arrivals));
        self.model.insert((deadline, self.arrivals, index));
        self.step(|world| {
            // SAFETY: it is not in the queue, and stays in its box.
            unsafe {
                world
                    .queue
                    .insert(&raw const world.waits[index], Self::fiber(index), deadline);
            };
        });
        assert!(self.waits[index].is_sleeping());
    }

    fn remove(&mut self, index: usize) {
        let (deadline, arrival) = self.places[index].take().expect("it sleeps");
        self.model.remove(&(deadline, arrival, index));
        // SAFETY: it is in the queue.
        self.step(|world| unsafe { world.queue.remove(&raw const world.waits[index]) });
        assert!(!self.waits[index].is_sleeping());
        assert_eq!(self.waits[index].deadline(), deadline);
    }

    /// Takes the earliest out if it is due, as the model does.
    fn pop(&mut self, now: Nanoseconds) -> bool {
        let due = self.model.first().copied().filter(|first| first.0 <= now);
        let fiber = self.step(|world| world.queue.pop_due(now));
        assert_eq!(fiber, due.map(|(_, _, index)| Self::fiber(index)));
        if let Some(first) = due {
            self.model.remove(&first);
            self.places[first.2] = None;
        }
        due.is_some()
    }

    fn check(&self) {
        let first = self.model.first().map_or(NEVER, |first| first.0);
        assert_eq!(self.queue.next_deadline(), first);
        let mut found = Vec::new();
        let root = self.queue.0.root();
        in_order(root, &mut found);
        assert!(
            usize::from(Member::rank_of(root)) <= highest_rank(self.arrivals),
            "Q2"
        );
        let waits = self
            .model
            .iter()
            .map(|&(_, _, index)| &raw const self.waits[index]);
        assert_eq!(found, waits.collect::<Vec<_>>());
        let ends = [Side::Earlier, Side::Later].map(|side| self.queue.0.end(side));
        let ends = ends.map(|end| end.map(|end| ptr::from_ref(end.wait())));
        assert_eq!(ends, [found.first().copied(), found.last().copied()]);
    }
}

/// Collects all nodes in order, and checks that their links and ranks are as they must be.
fn in_order(member: Option<Member<'_>>, found: &mut Vec<*const Wait>) {
    let Some(member) = member else { return };
    for side in [Side::Earlier, Side::Later] {
        let child = member.child(side);
        if let Some(parent) = child.map(|child| child.parent().expect("it is a child")) {
            assert!(ptr::eq(parent.wait(), member.wait()));
        }
        assert!(member.rank() > Member::rank_of(child), "Q2");
        if side == Side::Later {
            found.push(member.wait());
        }
        in_order(child, found);
    }
}

/// Returns the highest rank after so many insertions.
const fn highest_rank(insertions: usize) -> usize {
    145 * (insertions + 1).ilog2() as usize / 100 + 2
}

/// Returns the most visits that one step may need in a tree of so many levels. An insertion searches
/// its place, and then looks at a parent and its other child on each level.
const fn bound(levels: usize) -> usize {
    3 * levels + 12
}

/// Has so many fibers sleep and wake at random, with deadlines below a limit, so that some are equal.
fn play(count: usize, deadlines: usize) {
    let mut random = 1;
    for round in 0..ROUNDS {
        let mut world = World::new(count);
        for step in 0..next_random(&mut random) % (6 * count) {
            let index = next_random(&mut random) % count;
            let deadline = time(next_random(&mut random) % deadlines);
            if next_random(&mut random).is_multiple_of(9) {
                world.pop(deadline);
            } else if world.places[index].is_some() {
                world.remove(index);
            } else {
                world.insert(index, deadline);
            }
            world.check();
            let bound = bound(highest_rank(world.arrivals));
            assert!(world.longest <= bound, "round {round}, step {step}");
        }
        while world.pop(NEVER - 1) {}
        world.check();
    }
}

const ROUNDS: usize = if cfg!(miri) { 2 } else { 256 };

#[test]
fn few_sleepers_wake_in_the_order_of_deadlines_and_equals_in_that_of_arrival() {
    play(6, 4);
}

#[test]
fn many_sleepers_wake_in_the_order_of_deadlines_and_equals_in_that_of_arrival() {
    play(if cfg!(miri) { 15 } else { 60 }, 80);
}

/// Very many. So many fill a tree to the last level. Under Miri four levels do: a step looks at three at a time.
const MANY: usize = if cfg!(miri) { 15 } else { 32_767 };

/// Does something to many sleepers, and takes out those that are left.
fn with_many(name: &str, act: impl FnOnce(&mut World)) -> World {
    let mut world = World::new(MANY);
    act(&mut world);
    world.check();
    while world.pop(NEVER - 1) {}
    world.check();
    let (longest, bound) = (world.longest, bound(highest_rank(world.arrivals)));
    assert!(longest <= bound, "{name}: {longest} visits");
    world
}

const fn time(index: usize) -> Nanoseconds {
    index as Nanoseconds
}

fn ascend(world: &mut World) {
    (0..MANY).for_each(|index| world.insert(index, time(index)));
}

#[test]
fn no_step_visits_more_nodes_than_some_for_each_level() {
    with_many("ascending", ascend);
    with_many("descending", |world| {
        (0..MANY).for_each(|index| world.insert(index, time(MANY - index)));
    });
    with_many("equal", |world| {
        (0..MANY).for_each(|index| world.insert(index, 0));
    });
    with_many("from the middle outwards", |world| {
        ascend(world);
        for distance in 1..MANY / 2 {
            world.remove(MANY / 2 - distance);
            world.remove(MANY / 2 + distance - 1);
        }
    });
    with_many("any", |world| {
        let mut random = 1;
        for _ in 0..5 * MANY {
            let index = next_random(&mut random) % MANY;
            if world.places[index].is_some() {
                world.remove(index);
            } else {
                world.insert(index, time(next_random(&mut random)));
            }
        }
    });
}

#[test]
fn the_usual_steps_visit_a_few_nodes_on_average() {
    let few = |name, act: fn(&mut World)| {
        let world = with_many(name, act);
        let (visits, steps) = (world.visits, world.steps);
        assert!(visits <= 10 * steps, "{name}: {visits} in {steps} steps");
    };
    few("each wakes and sleeps again", |world| {
        ascend(world);
        for index in 0..2 * MANY {
            assert!(world.pop(time(index)), "the first is due");
            world.insert(index % MANY, time(index + MANY));
        }
    });
    few("deadlines after all others, which do not pass", |world| {
        for index in 0..MANY {
            world.insert(index, time(index));
            world.remove(index);
            world.insert(index, time(index));
        }
        for _ in 0..MANY {
            world.remove(MANY - 1);
            world.insert(MANY - 1, time(MANY));
        }
    });
    few("a deadline before all others", |world| {
        ascend(world);
        for _ in 0..MANY {
            assert!(world.pop(0));
            world.insert(0, 0);
        }
    });
}

/// Returns a number that looks random. The sequence is always the same.
const fn next_random(last: &mut u64) -> usize {
    *last = last
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    (*last >> 33) as usize
}
