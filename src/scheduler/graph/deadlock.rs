//! A fiber is about to wait for what it will never get: found in the slow path of the wait that closes the circle.
//!
//! Looking costs in proportion to the length of the chain of waits that begins at the fiber, which is one link as a rule:
//! who has what it waits for runs, or is ready. Only when the chain leads back, or into a scope, all fibers are looked at.

use super::needs::{Need, Waits};
use super::wait_graph::{Circle, WaitingFiber};
use crate::scheduler::task::header::Header;
use core::fmt;
use core::marker::PhantomData;
use core::ptr;

/// A fiber is about to wait without a deadline for what it will never get, unless a fiber of the circle is cancelled.
pub struct Deadlock<'a> {
    waits: Waits<'a>,
    fiber: *const Header,
    is_circle: bool,
    not_send: PhantomData<*mut ()>,
}

/// What the fiber does that would close a deadlock: the answer of [`Hooks::deadlocked`](crate::scheduler::Hooks::deadlocked).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterDeadlock {
    /// It panics where it wanted to wait, with the deadlock as the message. If that ends the fiber only, what it had locked
    /// is passed on.
    Panic,
    /// It waits. Somebody will cancel one of the fibers.
    Wait,
}

/// Where a chain of waits leads.
enum Chain {
    /// To a fiber that can run, or to what anybody can give; or into a circle that was there before.
    Nowhere,
    /// Back to where it began, perhaps, or to several fibers.
    Back,
    /// The first one waits for what a fiber has that has ended.
    Ended,
}

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

impl<'a> Deadlock<'a> {
    /// Says whether it is worth a longer look if a fiber waits: the chain of waits that begins there leads back, into several
    /// fibers, or to one that has ended. In a frame of its own, since it is all that most waits need of a stack.
    #[inline(never)]
    pub(crate) fn is_possible(waits: &Waits<'_>, fiber: *const Header) -> bool {
        !matches!(follow(waits, fiber), Chain::Nowhere)
    }

    /// The deadlock of a fiber that is about to wait, if there is one.
    #[cold]
    #[inline(never)]
    pub(crate) fn of(waits: Waits<'a>, fiber: *const Header) -> Option<Self> {
        let is_circle = match follow(&waits, fiber) {
            Chain::Nowhere => return None,
            Chain::Back => {
                waits.mark_ways_to(fiber);
                if !Circle::of(waits, fiber).closes() {
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
            is_circle,
            not_send: PhantomData,
        })
    }

    /// The fibers of the circle, each before the one that it needs; the first is the one that closes it. If there is no
    /// circle, that one alone: it waits for what a fiber has that has ended.
    pub fn fibers(&self) -> impl Iterator<Item = WaitingFiber> + use<'a> {
        let circle = Circle::of(self.waits, self.fiber);
        let count = if self.is_circle { usize::MAX } else { 1 };
        circle.fibers().take(count)
    }

    /// The circle, if there is one.
    #[must_use]
    pub fn circle(&self) -> Option<Circle<'a>> {
        let circle = Circle::of(self.waits, self.fiber);
        self.is_circle.then_some(circle)
    }
}

impl fmt::Display for Deadlock<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fibers().count() {
            _ if !self.is_circle => {
                writeln!(f, "deadlock: a fiber waits for what one has that has ended")?;
            }
            1 => writeln!(f, "deadlock: a fiber waits for itself")?,
            count => writeln!(
                f,
                "deadlock: {count} fibers wait for each other, and none of them will ever go on"
            )?,
        }
        for fiber in self.fibers() {
            writeln!(f, "  {fiber}")?;
        }
        f.write_str(if self.is_circle {
            "  take locks in the same order everywhere, hold none while joining, or wait with a deadline"
        } else {
            "  drop guards before the fiber ends, and do not forget them"
        })
    }
}

debug_is_display!(Deadlock<'_>);
