//! The properties that a new fiber is given, the place in which it is made, and the reasons why it
//! cannot be made.

use super::cell::FiberStorage;
#[cfg(feature = "smp")]
use crate::platform::Core;
use crate::scheduler::run_loop::RunLoop;
use crate::scheduler::task::header::Header;
use crate::scheduler::task::priority::Priority;
use crate::stack::{Pool, PoolExhausted, StackHandle, StackInUse};
use core::fmt;

/// A place for a fiber: a cell or a pool of cells, in a static.
pub trait CellSource: sealed::Sealed + Copy {
    /// The kind of cell that is taken.
    type Cell: FiberStorage;

    /// Takes a cell.
    ///
    /// # Errors
    ///
    /// Returns the reason why there is no free cell.
    fn take(self) -> Result<StackHandle<Self::Cell>, SpawnErrorKind>;
}

mod sealed {
    #[expect(unnameable_types, reason = "that is its purpose")]
    pub trait Sealed {}
    impl<C: super::FiberStorage> Sealed for &'static C {}
    impl<C: super::FiberStorage, const COUNT: usize> Sealed for &'static super::Pool<C, COUNT> {}
}

impl<C: FiberStorage> CellSource for &'static C {
    type Cell = C;

    #[inline]
    fn take(self) -> Result<StackHandle<C>, SpawnErrorKind> {
        C::take(self).map_err(|StackInUse| why_not(self))
    }
}

impl<C: FiberStorage, const COUNT: usize> CellSource for &'static Pool<C, COUNT> {
    type Cell = C;

    #[inline]
    fn take(self) -> Result<StackHandle<C>, SpawnErrorKind> {
        Pool::take(self).map_err(|PoolExhausted { count }| match self.lost_cells() {
            0 => SpawnErrorKind::PoolExhausted { count },
            lost => SpawnErrorKind::PoolDiminished { count, lost },
        })
    }
}

/// Returns the reason why a cell cannot be taken.
#[cold]
fn why_not<C: FiberStorage>(cell: &C) -> SpawnErrorKind {
    if is_lost(cell) {
        SpawnErrorKind::CellLost
    } else {
        SpawnErrorKind::CellInUse
    }
}

/// Returns whether a fiber has failed in a cell.
fn is_lost<C: FiberStorage>(cell: &C) -> bool {
    let header: *const Header = cell.storage_bounds().top().cast_const().cast();
    // SAFETY: `FiberStorage` promises a control block there.
    unsafe { (*header).state.is_lost() }
}

impl<C: FiberStorage, const COUNT: usize> Pool<C, COUNT> {
    /// Returns the number of cells in which a fiber has failed. They are never used again.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing.
    #[must_use]
    pub fn lost_cells(&self) -> usize {
        self.stacks().iter().filter(|cell| is_lost(*cell)).count()
    }
}

/// The reason why a fiber was not made.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpawnErrorKind {
    /// A fiber lives in the cell, or one has ended there whose result nobody has taken.
    CellInUse,
    /// All cells of the pool are in use.
    PoolExhausted {
        /// The number of cells in the pool.
        count: usize,
    },
    /// The fiber that lived in the cell has failed, so the cell is lost: its stack is never used
    /// again.
    CellLost,
    /// All cells of the pool that are not lost are in use.
    PoolDiminished {
        /// The number of cells in the pool.
        count: usize,
        /// The number of cells in which a fiber has failed.
        lost: usize,
    },
    /// The cell had a fiber of another scheduler before. It stays with that scheduler, because old
    /// ids still refer to it.
    OtherScheduler,
}

debug_is_display!(SpawnErrorKind);

impl fmt::Display for SpawnErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CellInUse => {
                f.write_str("the cell is in use: join its fiber or drop the handle, use another cell, or a pool")
            }
            Self::CellLost => {
                f.write_str("the cell is lost, since a fiber failed there, and its stack is never used again: use another cell, or a pool")
            }
            Self::PoolDiminished { count, lost } => {
                write!(f, "all {count} cells of the pool are in use, {lost} of them lost to fibers that failed: join a fiber, or make the pool larger")
            }
            Self::OtherScheduler => {
                f.write_str("the cell belongs to another scheduler since its first fiber: give each scheduler cells of its own")
            }
            Self::PoolExhausted { count } => {
                write!(f, "all {count} cells of the pool are in use: join a fiber, or make the pool larger")
            }
        }
    }
}

/// The error of `spawn`: a fiber was not made. It gives the closure back.
pub struct SpawnError<F> {
    /// The closure, which did not run.
    pub closure: F,
    /// The reason why the fiber was not made.
    pub kind: SpawnErrorKind,
}

debug_is_display!(<F> SpawnError<F>);

impl<F> fmt::Display for SpawnError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl<F> core::error::Error for SpawnError<F> {}

/// The name and priority of a fiber that is to be spawned. See
/// [`Scheduler::builder`](crate::scheduler::Scheduler::builder).
#[derive(Clone, Copy)]
#[must_use = "it makes nothing before `spawn`"]
pub struct Builder {
    /// The loop in which the fiber begins; if it is not pinned, any loop of the scheduler.
    pub(crate) run_loop: &'static RunLoop,
    #[cfg(feature = "smp")]
    pub(crate) is_pinned: bool,
    pub(crate) name: &'static str,
    pub(crate) priority: Priority,
}

impl Builder {
    /// Names the fiber, for reports and debuggers. The name may have any length; the first 255
    /// bytes are kept.
    pub const fn name(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    /// Pins the fiber to a core, on which it stays. Otherwise it begins on any core, and goes where
    /// there is room.
    ///
    /// # Panics
    ///
    /// Panics if the scheduler has no such core.
    #[cfg(feature = "smp")]
    #[track_caller]
    pub fn on(mut self, core: Core) -> Self {
        let loops = self.run_loop.team().loops();
        let Some(run_loop) = loops.get(core.0) else {
            panic!(
                "{core:?} is not one of the {} cores of the scheduler: they are counted from 0",
                loops.len()
            );
        };
        self.run_loop = run_loop;
        self.is_pinned = true;
        self
    }

    /// Returns the loop in which the fiber begins.
    #[cfg(feature = "smp")]
    #[inline(always)]
    pub(crate) fn place(&self) -> &'static RunLoop {
        if !self.is_pinned {
            return self.run_loop.place_for_new();
        }
        self.run_loop
    }

    /// Sets the priority of the fiber.
    pub const fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("name", &self.name)
            .field("priority", &self.priority)
            .finish_non_exhaustive()
    }
}
