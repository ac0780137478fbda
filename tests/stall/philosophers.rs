//! Five philosophers, with a fork between each two.

use crate::World;
use crate::cycles::{lock_both, mutexes};
use std::sync::Arc;

const NAMES: [&str; 5] = ["Aristotle", "Hypatia", "Zhuangzi", "Avicenna", "Gargi"];

#[test]
fn five_philosophers_are_named_once() {
    let world = World::new();
    let forks = mutexes::<5>();
    for (seat, name) in NAMES.into_iter().enumerate() {
        let forks = Arc::clone(&forks);
        world.spawn(name, move || {
            lock_both(&forks[seat], &forks[(seat + 1) % 5]);
        });
    }
    let reports = world.run();
    assert_eq!(reports.len(), 2, "the cycle, and the stall: {reports:#?}");
    assert!(reports[0].starts_with("deadlock: 5 fibers wait for each other"));
    let order: Vec<_> = reports[0].lines().skip(1).take(5).collect();
    // From the one that closed it, each before the one that has its fork.
    for (line, seat) in order.iter().zip([4, 0, 1, 2, 3]) {
        let (name, next) = (NAMES[seat], NAMES[(seat + 1) % 5]);
        assert!(
            line.starts_with(&format!("  \"{name}\" (@) waits for the mutex @")),
            "{line}"
        );
        assert!(
            line.ends_with(&format!(": \"{next}\" (@) holds it")),
            "{line}"
        );
    }
}

#[test]
fn philosophers_that_take_the_lower_fork_first_are_not_reported() {
    let world = World::new();
    let forks = mutexes::<5>();
    for (seat, name) in NAMES.into_iter().enumerate() {
        let forks = Arc::clone(&forks);
        let (left, right) = (seat, (seat + 1) % 5);
        world.spawn(name, move || {
            for _ in 0..20 {
                lock_both(&forks[left.min(right)], &forks[left.max(right)]);
            }
        });
    }
    assert_eq!(world.run(), [""; 0]);
}
