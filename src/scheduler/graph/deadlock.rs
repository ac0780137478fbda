//! Deadlock detection in the slow path of a wait: it finds a fiber that is about to wait for
//! something that it can never get.
//!
//! The cost of the check is proportional to the length of the chain of waits that begins at the
//! fiber. The chain usually has one link, because the holder of what the fiber waits for runs or is
//! ready. All fibers are examined only if the chain leads back to the fiber, or into a scope.

use super::needs::{Need, Waits};
use super::wait_graph::{WaitCycle, WaitingFiber};
use crate::scheduler::task::header::Header;
use core::fmt;
use core::marker::PhantomData;
use core::ptr;

/// A deadlock: a fiber is about to wait, without a deadline, for something that it can never get
/// unless one of the fibers of the cycle is cancelled.
pub struct Deadlock<'a> {
    waits: Waits<'a>,
    fiber: *const Header,
    is_cycle: bool,
    not_send: PhantomData<*mut ()>,
}

/// What a fiber does that would complete a deadlock. It is the answer of
/// [`Hooks::deadlocked`](crate::scheduler::Hooks::deadlocked).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterDeadlock {
    /// The fiber panics where it would have waited, with the deadlock as the message. If this ends
    /// only the fiber, the locks that it held pass on.
    Panic,
    /// The fiber waits. The kernel is expected to cancel one of the fibers.
    Wait,
}

/// Where a chain of waits leads.
#[cfg(feature = "smp")]
pub(crate) enum Way {
    /// To a fiber that can run, or to what anybody can give; or into a cycle that was there before.
    Nowhere,
    /// Back to the fiber for which one looks, perhaps, or to several fibers.
    Back,
    /// That fiber waits for what a fiber has that has ended.
    Ended,
    /// To this fiber of another loop, which is not held.
    Elsewhere(*const Header),
}

#[cfg(feature = "smp")]
use Way as Chain;

#[cfg(feature = "smp")]
fn follow(waits: &Waits<'_>, fiber: *const Header) -> Chain {
    Deadlock::way(waits, fiber, fiber)
}

/// Where a chain of waits leads.
#[cfg(not(feature = "smp"))]
enum Chain {
    /// To a fiber that can run, or to what anybody can give; or into a cycle that was there before.
    Nowhere,
    /// Back to where it began, perhaps, or to several fibers.
    Back,
    /// The first one waits for what a fiber has that has ended.
    Ended,
}

#[cfg(not(feature = "smp"))]
fn follow(waits: &Waits<'_>, fiber: *const Header) -> Chain {
    let mut at = fiber;
    for _ in 0..=waits.live {
        let Some(wait) = waits.wait_of(at) else {
            return Chain::Nowhere;
        };
        match waits.need_of(at, wait) {
            Need::Fiber(next) if !ptr::eq(next, fiber) => at = next,
            Need::Fiber(_) | Need::All(_) => return Chain::Back,
            Need::Ended(_) if ptr::eq(at, fiber) => return Chain::Ended,
            Need::Ended(_) | Need::Fibers | Need::Clock | Need::Anybody => return Chain::Nowhere,
        }
    }
    Chain::Nowhere
}

#[cfg(feature = "smp")]
impl<'a> Deadlock<'a> {
    /// Follows the chain of waits that begins at `from`, and returns where it leads, for a look for a
    /// cycle of `target`.
    #[inline(never)]
    pub(crate) fn way(waits: &Waits<'_>, from: *const Header, target: *const Header) -> Way {
        let mut at = from;
        for _ in 0..=waits.live {
            let Some(wait) = waits.wait_of(at) else {
                return Way::Nowhere;
            };
            let is_first = ptr::eq(at, target);
            match waits.need_of(at, wait) {
                Need::Fiber(next) if !ptr::eq(next, target) => at = next,
                Need::Fiber(_) => return Way::Back,
                // The last of a scope to wait is its owner in most cases. If no fiber of the scope
                // waits on this core, there is nothing to look for here.
                Need::All(all) if is_first => {
                    return if waits
                        .in_all(all)
                        .any(|fiber| waits.wait_of(fiber).is_some())
                    {
                        Way::Back
                    } else {
                        Way::Nowhere
                    };
                }
                Need::All(_) => return Way::Back,
                Need::Ended(_) if is_first => return Way::Ended,
                Need::Elsewhere(next) => return Way::Elsewhere(next),
                Need::Ended(_) | Need::Fibers | Need::Clock | Need::Anybody => return Way::Nowhere,
            }
        }
        Way::Nowhere
    }

    /// Returns the cycle of a fiber as a deadlock. Its fibers wait already, and the ways to the fiber
    /// are marked.
    pub(crate) const fn of_cycle(waits: Waits<'a>, first: *const Header) -> Self {
        Self {
            waits,
            fiber: first,
            is_cycle: true,
            not_send: PhantomData,
        }
    }

    /// Records that the deadlock is reported, in the waits of its fibers that wait.
    pub(crate) fn note_report(&self) {
        if let Some(cycle) = self.cycle() {
            cycle.note_report();
        }
    }
}

impl<'a> Deadlock<'a> {
    /// Returns whether a longer look is worth it when a fiber waits: the chain of waits that begins
    /// there leads back, to several fibers, or to one that has ended. This has a frame of its own,
    /// since it is all that most waits need of a stack.
    #[cfg(not(feature = "smp"))]
    #[inline(never)]
    pub(crate) fn is_possible(waits: &Waits<'_>, fiber: *const Header) -> bool {
        !matches!(follow(waits, fiber), Chain::Nowhere)
    }

    /// Returns the deadlock that a fiber completes which is about to wait, if there is one.
    #[cold]
    #[inline(never)]
    pub(crate) fn of(waits: Waits<'a>, fiber: *const Header) -> Option<Self> {
        let is_cycle = match follow(&waits, fiber) {
            Chain::Nowhere => return None,
            #[cfg(feature = "smp")]
            Chain::Elsewhere(_) => return None,
            Chain::Back => {
                waits.mark_ways_to(fiber);
                if !WaitCycle::of(waits, fiber).closes() {
                    return None;
                }
                true
            }
            Chain::Ended => {
                waits.mark_stuck();
                false
            }
        };
        Some(Self {
            waits,
            fiber,
            is_cycle,
            not_send: PhantomData,
        })
    }

    /// Returns the fibers of the cycle, each before the one that it needs. The first is the fiber
    /// that completes the cycle. If there is no cycle, only that fiber is returned: it waits for
    /// something that an ended fiber holds.
    pub fn fibers(&self) -> impl Iterator<Item = WaitingFiber> + use<'a> {
        let cycle = WaitCycle::of(self.waits, self.fiber);
        let count = if self.is_cycle { usize::MAX } else { 1 };
        cycle.fibers().take(count)
    }

    /// Returns the cycle, if there is one.
    #[must_use]
    pub fn cycle(&self) -> Option<WaitCycle<'a>> {
        let cycle = WaitCycle::of(self.waits, self.fiber);
        self.is_cycle.then_some(cycle)
    }
}

impl fmt::Display for Deadlock<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fibers().count() {
            _ if !self.is_cycle => {
                writeln!(
                    f,
                    "deadlock: a fiber waits for a lock whose holder has ended"
                )?;
            }
            1 => writeln!(f, "deadlock: a fiber waits for itself")?,
            count => writeln!(
                f,
                "deadlock: {count} fibers wait for each other, and none of them can ever continue"
            )?,
        }
        for fiber in self.fibers() {
            writeln!(f, "  {fiber}")?;
        }
        f.write_str(if self.is_cycle {
            "  take locks in the same order everywhere, release all of them before joining a fiber, or wait with a deadline"
        } else {
            "  drop every guard before its fiber ends, and do not pass guards to `mem::forget`"
        })
    }
}

debug_is_display!(Deadlock<'_>);
