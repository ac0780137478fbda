//! Who a fiber is: its id, and the handle that wakes it.

use super::header::Header;
use super::run_loop::RunLoop;
use super::state::{State, Woken};
use core::fmt;
use core::hash::{Hash, Hasher};
use core::ptr;

/// Which fiber: where it lives, and the how-manieth that lived there. An id of a fiber that has ended is of no other.
///
/// (The generation has 32 bits: after four thousand million fibers in one place an old id would be taken for a new one.)
#[derive(Clone, Copy)]
pub struct FiberId {
    header: *const Header,
    generation: u32,
}

// SAFETY: through an id only the state word of the header is used, which is atomic, and the header's loop, which never
// changes while the generation is current. The memory is never given back, see `Unparker`.
unsafe impl Send for FiberId {}
// SAFETY: as above.
unsafe impl Sync for FiberId {}

impl FiberId {
    /// # Safety
    ///
    /// The header is in memory that stays readable for good.
    pub(crate) const unsafe fn new(header: *const Header, generation: u32) -> Self {
        Self { header, generation }
    }

    /// # Safety
    ///
    /// `fiber` is alive.
    pub(crate) unsafe fn of(fiber: *const Header) -> Self {
        // SAFETY: the caller's promise.
        let generation = unsafe { (*fiber).state.generation() };
        Self {
            header: fiber,
            generation,
        }
    }

    pub(crate) const fn header(self) -> *const Header {
        self.header
    }

    /// Changes the state and does what follows from it. Returns whether the fiber is still there.
    pub(crate) fn signal(self, change: impl FnOnce(&State, u32) -> Woken) -> bool {
        // SAFETY: the header stays readable.
        let state = unsafe { &(*self.header).state };
        match change(state, self.generation) {
            Woken::Stale => return false,
            Woken::Nothing => {}
            Woken::Enqueue => {
                // SAFETY: it is parked, so it is alive.
                let run_loop: &RunLoop = unsafe { Header::run_loop(self.header) };
                // SAFETY: it waited, and nobody woke it before.
                unsafe { run_loop.post(self.header) };
            }
        }
        true
    }
}

impl PartialEq for FiberId {
    fn eq(&self, other: &Self) -> bool {
        ptr::eq(self.header, other.header) && self.generation == other.generation
    }
}

impl Eq for FiberId {}

impl Hash for FiberId {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (self.header.addr(), self.generation).hash(hasher);
    }
}

impl fmt::Debug for FiberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}.{}", self.header.addr(), self.generation)
    }
}

/// Wakes one fiber from [`park`](super::park()), with the contract of `std::thread::park`: a wake that comes before the
/// fiber parks is kept, several count as one.
///
/// It may be copied, and kept after the fiber has ended: then it does nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Unparker(pub(crate) FiberId);

impl Unparker {
    /// Wakes the fiber. Returns false if it has ended.
    ///
    /// It takes no lock. It tries again only if somebody else changed the fiber's state between two of its instructions: on
    /// one core, an interrupt handler that interrupted this one.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Lock-free. Blocks: nothing.
    pub fn unpark(self) -> bool {
        self.0.signal(State::give_token)
    }

    /// Which fiber it wakes.
    #[must_use]
    pub const fn id(self) -> FiberId {
        self.0
    }
}
