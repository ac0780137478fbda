//! The text form of waits: one line for each fiber.

use super::wait_graph::{WaitCycle, WaitGraph, WaitingFiber, WaitsFor};
use crate::platform::{NEVER, Nanoseconds};
use crate::scheduler::task::id::FiberId;
use crate::scheduler::task::wait::WaitReason;
use core::fmt;

/// A fiber, printed as its name, if it has one, and its id.
pub(crate) struct Who(pub(crate) FiberId, pub(crate) &'static str);

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(id, name) = self;
        if name.is_empty() {
            write!(f, "fiber {id:?}")
        } else {
            write!(f, "\"{name}\" ({id:?})")
        }
    }
}

/// A time or a duration, printed in seconds.
pub(crate) struct Seconds(pub(crate) Nanoseconds);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = self.0 / 1_000_000;
        write!(f, "{}.{:03} s", milliseconds / 1000, milliseconds % 1000)
    }
}

impl fmt::Display for WaitingFiber {
    /// `"left" (10f40.1) waits for the mutex 0x2040 since t = 0.010 s at src/main.rs:10:20: "right"
    /// (11f40.1) has it`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (object, location) = (self.object, self.location);
        write!(f, "{} waits ", Who(self.id, self.name))?;
        match self.reason {
            WaitReason::Park => write!(f, "to be unparked"),
            WaitReason::Sleep => write!(f, "for a moment"),
            WaitReason::Join => write!(f, "to join"),
            WaitReason::Scope => write!(f, "for the fibers of its scope"),
            WaitReason::Future => write!(f, "for a future's waker"),
            WaitReason::WaitQueue => write!(f, "in the queue {object:p}"),
            WaitReason::Mutex => write!(f, "for the mutex {object:p}"),
            WaitReason::Read => write!(f, "to read the lock {object:p}"),
            WaitReason::Write => write!(f, "to write the lock {object:p}"),
            WaitReason::Semaphore => write!(f, "for a permit of the semaphore {object:p}"),
            WaitReason::Condvar => write!(f, "for the condition variable {object:p}"),
            WaitReason::Event => write!(f, "for flags of the event {object:p}"),
            WaitReason::Barrier => write!(f, "at the barrier {object:p}"),
            WaitReason::Once => write!(f, "for the `Once` {object:p}"),
            WaitReason::Receive => write!(f, "for a message of the channel {object:p}"),
            #[cfg(feature = "smp")]
            WaitReason::Move => write!(f, "to arrive on another core"),
            WaitReason::Send => write!(f, "for room in the channel {object:p}"),
        }?;
        write!(f, " since t = {} at {location}", Seconds(self.since))?;
        if self.deadline != NEVER {
            write!(f, ", until t = {}", Seconds(self.deadline))?;
        }
        let is_owned = matches!(
            self.reason,
            WaitReason::Mutex | WaitReason::Read | WaitReason::Write
        );
        match self.waits_for {
            WaitsFor::Fiber { id, name } if self.reason == WaitReason::Join => {
                write!(f, ": {} has not ended", Who(id, name))
            }
            WaitsFor::Fiber { id, name } if self.reason == WaitReason::Once => {
                write!(f, ": {} initializes it", Who(id, name))
            }
            WaitsFor::Fiber { id, name } => write!(f, ": {} holds it", Who(id, name)),
            WaitsFor::EndedFiber { id } => {
                write!(f, ": fiber {id:?} held it when it ended")
            }
            WaitsFor::Readers { id, name, others } => match others {
                0 => write!(f, ": {} reads it", Who(id, name)),
                1 => write!(f, ": {} and another one read it", Who(id, name)),
                _ => write!(f, ": {} and {others} others read it", Who(id, name)),
            },
            WaitsFor::WriterInFront { id, name } => {
                write!(f, ": {} waits to write it and comes first", Who(id, name))
            }
            WaitsFor::Scope { running } => write!(f, ": {running} have not ended"),
            WaitsFor::Fibers if is_owned => {
                write!(f, ": a fiber of another scheduler holds it")
            }
            WaitsFor::Fibers | WaitsFor::Clock | WaitsFor::Anybody => Ok(()),
        }
    }
}

impl fmt::Display for WaitGraph<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut is_first = true;
        for fiber in self.fibers() {
            let end = if is_first { "" } else { "\n" };
            write!(f, "{end}  {fiber}")?;
            is_first = false;
        }
        if is_first {
            write!(f, "  no fiber waits")?;
        }
        for cycle in self.cycles() {
            write!(f, "\n  cycle: {cycle}")?;
        }
        Ok(())
    }
}

impl fmt::Display for WaitCycle<'_> {
    /// `"left" (10f40.1) needs "right" (11f40.1) needs "left"`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fiber in self.fibers() {
            write!(f, "{} needs ", Who(fiber.id, fiber.name))?;
        }
        let first = self.fibers().next();
        first.map_or(Ok(()), |first| write!(f, "{}", Who(first.id, first.name)))
    }
}

debug_is_display!(WaitGraph<'_>);

debug_is_display!(WaitCycle<'_>);
