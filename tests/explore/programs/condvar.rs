//! Condition variables: a buffer under a mutex, and not one notification more than needed.

use crate::dice::{choose, note};
use crate::machine::{point, some_deadline, until_loosely};
use crate::stage::Stage;
use core::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use kfiber::scheduler::{WaitError, current_name};
use kfiber::sync::{Condvar, Mutex, MutexGuard};
use std::collections::VecDeque;
use std::sync::Arc;

const ROOM: usize = 2;

#[derive(Default)]
struct Bench {
    buffer: Mutex<VecDeque<usize>>,
    has_room: Condvar,
    has_some: Condvar,
    received: AtomicUsize,
    spurious: AtomicUsize,
}

/// Waits while the buffer is so, with or without a deadline, until it is not.
fn wait(
    condvar: &Condvar,
    guard: &mut MutexGuard<'_, VecDeque<usize>>,
    condition: impl Fn(&mut VecDeque<usize>) -> bool,
) {
    loop {
        let deadline = some_deadline();
        let wait = || condvar.wait_while_until(guard, deadline, &condition);
        match until_loosely(deadline, wait) {
            Ok(()) => return,
            Err(WaitError::TimedOut) => {}
            Err(WaitError::Cancelled) => panic!("nobody asked for it"),
        }
    }
}

pub(super) fn play(stage: &mut Stage) {
    let bench = Arc::new(Bench::default());
    let (sides, rounds) = (1 + choose(3), 1 + choose(4));
    for side in 0..sides {
        let sender = bench.clone();
        stage.fiber("who fills the buffer", move || {
            for round in 0..rounds {
                let mut buffer = sender.buffer.lock();
                point();
                wait(&sender.has_room, &mut buffer, |buffer| buffer.len() == ROOM);
                point();
                assert!(buffer.len() < ROOM, "more than there is room for");
                buffer.push_back(side * rounds + round);
                note(|| format!("{} puts one in", current_name()));
                let is_early = choose(2) == 1;
                if is_early {
                    sender.has_some.notify_one();
                }
                drop(buffer);
                if !is_early {
                    point();
                    sender.has_some.notify_one();
                }
                point();
            }
        });
        let receiver = bench.clone();
        stage.fiber("who empties the buffer", move || {
            for _ in 0..rounds {
                let mut buffer = receiver.buffer.lock();
                wait(&receiver.has_some, &mut buffer, |buffer| buffer.is_empty());
                point();
                let number = buffer.pop_front().expect("there is one");
                drop(buffer);
                receiver.has_room.notify_one();
                receiver.received.fetch_add(number + 1, SeqCst);
                point();
            }
        });
    }
    let device = bench.clone();
    stage.device(move || {
        // For no reason, and seldom.
        let is_too_many = device.spurious.fetch_add(1, SeqCst) >= 4;
        !is_too_many && device.has_room.notify_all() + device.has_some.notify_all() > 0
    });
    stage.end(move || {
        let all = sides * rounds;
        assert_eq!(bench.received.load(SeqCst), all * (all + 1) / 2, "the sum");
    });
}
