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

impl WaitReason {
    /// Returns what a fiber waits for, and whether the address of an object follows.
    const fn in_words(self) -> (&'static str, bool) {
        match self {
            Self::Park => ("to be unparked", false),
            Self::Sleep => ("for a moment", false),
            Self::Join => ("to join", false),
            Self::Scope => ("for the fibers of its scope", false),
            Self::Future => ("for a future's waker", false),
            Self::WaitQueue => ("in the queue", true),
            Self::Mutex => ("for the mutex", true),
            Self::Read => ("to read the lock", true),
            Self::Write => ("to write the lock", true),
            Self::Semaphore => ("for a permit of the semaphore", true),
            Self::Condvar => ("for the condition variable", true),
            Self::Event => ("for flags of the event", true),
            Self::Barrier => ("at the barrier", true),
            Self::Once => ("for the `Once`", true),
            Self::Receive => ("for a message of the channel", true),
            #[cfg(feature = "smp")]
            Self::Move => ("to arrive on another core", false),
            Self::Send => ("for room in the channel", true),
        }
    }

    const fn is_owned(self) -> bool {
        matches!(self, Self::Mutex | Self::Read | Self::Write)
    }
}

impl fmt::Display for WaitingFiber {
    /// `"left" (10f40.1) waits for the mutex 0x2040 since t = 0.010 s at src/main.rs:10:20: "right"
    /// (11f40.1) has it`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (object, location) = (self.object, self.location);
        let (what, has_object) = self.reason.in_words();
        write!(f, "{} waits {what}", Who(self.id, self.name))?;
        if has_object {
            write!(f, " {object:p}")?;
        }
        write!(f, " since t = {} at {location}", Seconds(self.since))?;
        if self.deadline != NEVER {
            write!(f, ", until t = {}", Seconds(self.deadline))?;
        }
        // One call for the usual cases, since each is a lot of code.
        let (who, does) = match self.waits_for {
            WaitsFor::Fiber { id, name } => {
                let does = match self.reason {
                    WaitReason::Join => "has not ended",
                    WaitReason::Once => "initializes it",
                    _ => "holds it",
                };
                (Who(id, name), does)
            }
            WaitsFor::EndedFiber { id } => (Who(id, ""), "held it when it ended"),
            WaitsFor::Readers { id, name, others } => match others {
                0 => (Who(id, name), "reads it"),
                1 => (Who(id, name), "and another one read it"),
                _ => return write!(f, ": {} and {others} others read it", Who(id, name)),
            },
            WaitsFor::WriterInFront { id, name } => {
                (Who(id, name), "waits to write it and comes first")
            }
            WaitsFor::Scope { running } => return write!(f, ": {running} have not ended"),
            WaitsFor::Fibers if self.reason.is_owned() => {
                return f.write_str(": a fiber of another scheduler holds it");
            }
            WaitsFor::Fibers | WaitsFor::Clock | WaitsFor::Anybody => return Ok(()),
        };
        write!(f, ": {who} {does}")
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
