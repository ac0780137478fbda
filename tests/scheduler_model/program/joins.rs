//! Waiting for another fiber's end, in the random programs.

use super::{Handle, compare, wait};
use crate::model::{Kind, Outcome, Slot};
use crate::world::{Output, with};
use core::time::Duration;
use kfiber::scheduler::{self, JoinError, JoinErrorKind};

/// Takes a random handle out of the world, with the number and slot of its fiber.
pub(super) fn some_handle() -> Option<(usize, Slot, Handle)> {
    with(|world| {
        let index = world.random.below(world.handles.len().max(1));
        let number = *world.handles.keys().nth(index)?;
        let handle = world.handles.remove(&number).expect("just seen");
        Some((number, world.made[number].slot, handle))
    })
}

/// The end of a join, whatever became of it.
pub(super) fn joined(number: usize, other: Slot, result: Result<Output, JoinError<Output>>) {
    with(|world| match result {
        Ok(output) => {
            assert_eq!(
                output.0, number,
                "seed {:#x}: the result of another",
                world.seed
            );
            world.model.fibers.remove(&other);
        }
        Err(error) => {
            if error.kind != JoinErrorKind::NotFinished && error.kind != JoinErrorKind::Deadlock {
                world.model.forget_joiner(other);
            }
            world.handles.insert(number, error.handle);
        }
    });
}

pub(super) fn join(slot: Slot, timeout: Option<u64>) {
    let Some((number, other, handle)) = some_handle() else {
        return;
    };
    let (is_finished, is_cycle, now) = with(|world| {
        let model = &world.model;
        (
            model.fibers[&other].is_finished,
            model.waits_for(other, slot, false),
            model.now,
        )
    });
    assert_eq!(handle.is_finished(), is_finished);
    let is_hopeless = with(|world| world.model.waits_for(other, slot, true));
    if is_hopeless && !is_cycle && timeout.is_none() {
        // Futures are not followed, so this would wait for ever, and nobody has a handle to cancel it by.
        return with(|world| {
            world.handles.insert(number, handle);
        });
    }
    let real = |handle: Handle| match timeout {
        Some(timeout) => handle.join_timeout(Duration::from_nanos(timeout)),
        None => handle.join(),
    };
    if is_finished {
        return joined(number, other, real(handle));
    }
    if is_cycle {
        let error = real(handle).expect_err("a cycle");
        assert_eq!(error.kind, JoinErrorKind::Deadlock);
        return joined(number, other, Err(error));
    }
    wait(
        Kind::Join(other),
        timeout.map(|timeout| now + timeout),
        false,
    );
    let result = real(handle);
    let outcome = match &result {
        Ok(_) => Outcome::Done,
        Err(error) if error.kind == JoinErrorKind::TimedOut => Outcome::TimedOut,
        Err(_) => Outcome::Cancelled,
    };
    joined(number, other, result);
    compare(slot, outcome);
}

pub(super) fn block_on(slot: Slot) {
    let Some((number, other, handle)) = some_handle() else {
        return;
    };
    let (is_finished, is_cycle) = with(|world| {
        let model = &world.model;
        (
            model.fibers[&other].is_finished,
            model.waits_for(other, slot, true),
        )
    });
    if is_cycle {
        with(|world| world.handles.insert(number, handle));
    } else if is_finished {
        with(|world| {
            let fiber = world.model.running();
            (fiber.is_notified, fiber.is_woken) = (true, true);
        });
        joined(
            number,
            other,
            Ok(scheduler::block_on(handle).expect("it has not failed")),
        );
    } else {
        wait(Kind::Future(other), None, true);
        let output = scheduler::block_on(handle).expect("it has not failed");
        joined(number, other, Ok(output));
        compare(slot, Outcome::Done);
    }
}
