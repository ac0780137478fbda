//! The events of all cores in the order of their times, each with the fiber that ran.

use super::event::{Event, Kind};
use super::ring::Ring;
use core::sync::atomic::Ordering;

/// The most cores that a scheduler has.
const MOST: usize = 31;

/// The rings of a recorder.
#[derive(Clone, Copy)]
pub(crate) struct Rings {
    first: *const Ring,
    count: usize,
}

/// An event in its context.
#[derive(Clone, Copy)]
pub(crate) struct Step {
    pub(crate) event: Event,
    /// The number of the core.
    pub(crate) core: usize,
    /// The address of the fiber that ran there before the event, or of the core's own context, or 0
    /// if it is not known.
    pub(crate) running: u64,
    /// How many interrupts the event was in.
    pub(crate) interrupts: u8,
}

impl Rings {
    /// Makes rings that lie one after another known to each other.
    pub(crate) fn unite(first: *const Ring, count: usize, bytes: usize) {
        for index in 0..count {
            // SAFETY: TR2: the caller has so many, in a static.
            let ring = unsafe { &*first.wrapping_byte_add(index * bytes) };
            ring.first.store(first.cast_mut(), Ordering::Relaxed);
            ring.count.store(count, Ordering::Release);
        }
    }

    /// Returns no rings.
    pub(crate) const fn none() -> Self {
        Self {
            first: core::ptr::null(),
            count: 0,
        }
    }

    /// Returns the rings to which one belongs.
    pub(crate) fn of(ring: *const Ring) -> Self {
        // SAFETY: TR2.
        let this = unsafe { &*ring };
        Self {
            count: this.count.load(Ordering::Acquire),
            first: this.first.load(Ordering::Relaxed),
        }
    }

    /// Returns the number of rings.
    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    /// Returns the ring of a core, which must be one of them.
    pub(crate) const fn ring(&self, core: usize) -> *const Ring {
        // SAFETY: TR2.
        let bytes = unsafe { (*self.first).whole_bytes() };
        self.first.wrapping_byte_add(core * bytes)
    }

    /// Returns the events in the order of their times. Events that are recorded meanwhile are left
    /// out, and those that are overwritten meanwhile are missing.
    pub(crate) fn steps(self) -> Steps {
        let mut steps = Steps {
            rings: self,
            next: [0; MOST],
            end: [0; MOST],
            running: [0; MOST],
            interrupts: [0; MOST],
        };
        for core in 0..self.count.min(MOST) {
            // SAFETY: TR2.
            let ring = unsafe { &*self.ring(core) };
            steps.next[core] = ring.oldest();
            steps.end[core] = ring.end();
        }
        steps
    }
}

/// The iterator of [`Rings::steps`].
pub(crate) struct Steps {
    rings: Rings,
    next: [u64; MOST],
    end: [u64; MOST],
    running: [u64; MOST],
    interrupts: [u8; MOST],
}

impl Steps {
    /// Returns the next event of a core, without taking it.
    fn peek(&mut self, core: usize) -> Option<Event> {
        while self.next[core] < self.end[core] {
            // SAFETY: TR2.
            let event = unsafe { Ring::read_timed(self.rings.ring(core), self.next[core]) };
            if event.is_some() {
                return event;
            }
            self.next[core] += Ring::STEP;
        }
        None
    }
}

impl Iterator for Steps {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        let mut first: Option<(usize, Event)> = None;
        for core in 0..self.rings.count.min(MOST) {
            if let Some(event) = self.peek(core)
                && first.is_none_or(|(_, first)| event.time < first.time)
            {
                first = Some((core, event));
            }
        }
        let (core, event) = first?;
        self.next[core] += Ring::STEP;
        let step = Step {
            event,
            core,
            running: self.running[core],
            interrupts: self.interrupts[core],
        };
        let interrupts = &mut self.interrupts[core];
        match event.kind {
            Kind::Switch => {
                self.running[core] = event.subject;
                // A handler that ends a fiber does not return to it.
                *interrupts = 0;
            }
            Kind::InterruptIn => *interrupts = interrupts.saturating_add(1),
            Kind::InterruptOut => *interrupts = interrupts.saturating_sub(1),
            _ => {}
        }
        Some(step)
    }
}
