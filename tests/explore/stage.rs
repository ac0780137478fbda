//! What the programs of a schedule are made of: their fibers and devices, and what must be true at the end.

use crate::dice::{self, choose};
use crate::machine::is_alone;
use std::sync::Arc;

/// How many fibers the programs of a schedule can have.
pub(crate) const CELLS: usize = 24;

/// What an interrupt or another core does. Says whether there was something left to do.
pub(crate) type Device = Arc<dyn Fn() -> bool + Send + Sync>;

/// A fiber that is to play.
pub(crate) struct Part {
    pub(crate) name: &'static str,
    /// Whether it bears being asked to end at any time.
    pub(crate) may_be_cancelled: bool,
    pub(crate) may_be_pinned: bool,
    pub(crate) level: u8,
    pub(crate) is_beside: bool,
    pub(crate) body: Box<dyn FnOnce() + Send>,
}

/// What the programs of a schedule are made of.
#[derive(Default)]
pub(crate) struct Stage {
    pub(crate) parts: Vec<Part>,
    pub(crate) devices: Vec<Device>,
    pub(crate) ends: Vec<Box<dyn FnOnce() + Send>>,
    /// The only loop for the fibers that are made next, if they must have one.
    is_on_main: bool,
    /// How many cores play, or 0 or 1.
    cores: usize,
}

impl Stage {
    /// An empty one, on which so many cores play.
    pub(crate) fn of(cores: usize) -> Self {
        Self {
            cores,
            ..Self::default()
        }
    }

    /// A fiber of a level of its own choice.
    pub(crate) fn fiber(&mut self, name: &'static str, body: impl FnOnce() + Send + 'static) {
        // Different ones first; if there are few, some are equal.
        let level = if dice::is_by_depth() {
            u8::try_from(31 - (7 * self.parts.len() + choose(32)) % 32).expect("below 32")
        } else {
            [16, 16, 16, 20, 8, 31][choose(6)]
        };
        self.fiber_at(level, name, body);
    }

    pub(crate) fn fiber_at(
        &mut self,
        level: u8,
        name: &'static str,
        body: impl FnOnce() + Send + 'static,
    ) {
        let is_beside = !is_alone() && !self.is_on_main && choose(2) == 1;
        self.parts.push(Part {
            name,
            may_be_cancelled: false,
            may_be_pinned: true,
            level,
            is_beside,
            body: Box::new(body),
        });
    }

    /// The last fiber may be asked to end at any time.
    pub(crate) fn that_may_be_cancelled(&mut self) {
        let last = self.parts.last_mut().expect("there is one");
        last.may_be_cancelled = true;
    }

    /// The last fiber moves of its own will.
    #[cfg(feature = "smp")]
    pub(crate) fn that_is_not_pinned(&mut self) {
        let last = self.parts.last_mut().expect("there is one");
        last.may_be_pinned = false;
    }

    /// How many cores play.
    pub(crate) const fn cores(&self) -> usize {
        self.cores
    }

    /// The fibers that are made next are all of one loop.
    pub(crate) const fn in_one_loop(&mut self, is_on_main: bool) {
        self.is_on_main = is_on_main;
    }

    pub(crate) fn device(&mut self, device: impl Fn() -> bool + Send + Sync + 'static) {
        self.devices.push(Arc::new(device));
    }

    /// What is looked at when all fibers have ended.
    pub(crate) fn end(&mut self, end: impl FnOnce() + Send + 'static) {
        self.ends.push(Box::new(end));
    }

    /// How many more fibers there may be.
    pub(crate) const fn room(&self) -> usize {
        CELLS - self.parts.len()
    }
}
