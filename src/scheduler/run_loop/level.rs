//! A change of the level at which a fiber is scheduled, while the fiber waits, is ready, or runs.
//!
//! A fiber that inherits a higher level leaves the ring of its own level. It may return before it
//! has ever run at the higher level, and then gets its old place back. At the front it would
//! overtake fibers that were ahead of it, and at the end others would overtake it. To find its
//! place, it remembers the fiber that was behind it. It remembers itself if it was the last, and
//! null if it was not in the ring or was running. In this last case, and if it has run meanwhile,
//! its place is at the front, because the fibers of its own level wait for it.

use super::RunLoop;
use crate::scheduler::cpu::current;
use crate::scheduler::task::control::Extra;
use crate::scheduler::task::header::Header;
use core::ptr;

impl RunLoop {
    /// Changes the level of a fiber in any state.
    ///
    /// # Safety
    ///
    /// The fiber must be alive, must not have ended, and must belong to this loop. The caller must
    /// be the owner, in a fiber, or, with several cores, in root.
    pub(crate) unsafe fn set_level(&self, fiber: *const Header, level: u8) {
        // SAFETY: the caller's promise.
        let header = unsafe { &*fiber };
        // SAFETY: only cells' fibers are lent a level.
        let extra = unsafe { Extra::of(fiber) };
        let own = header.own_level.get();
        let is_leaving = header.level.get() == own;
        if is_leaving {
            extra.place.set(ptr::null());
        }
        if header.state.is_waiting() {
            header.level.set(level);
            return;
        }
        let running = current::get();
        let is_running = ptr::eq(fiber, running);
        if is_leaving && !is_running {
            // SAFETY: R3: it is ready.
            let behind = unsafe { self.ready.behind(fiber) };
            extra
                .place
                .set(if behind.is_null() { fiber } else { behind });
            extra.place_at_turn.set(turn_of(header));
        }
        // SAFETY: R3: it is ready, or runs.
        unsafe { self.ready.remove(fiber) };
        let was_higher = header.level.replace(level) > level;
        #[cfg(not(feature = "smp"))]
        // SAFETY: the caller is in it.
        let is_below = unsafe { (*running).level.get() } > level;
        #[cfg(feature = "smp")]
        // SAFETY: it runs, or root does.
        let is_below = unsafe { running.as_ref() }.is_none_or(|it| it.level.get() > level);
        let goes_down = was_higher && is_below;
        if goes_down && level == own && turn_of(header) == extra.place_at_turn.get() {
            // SAFETY: it is in no ring any more.
            unsafe { self.put_back(fiber, extra.place.get()) };
        } else if is_running || goes_down {
            // R3 requires the running fiber to be in front. A fiber that falls to a lower level
            // does not lose its turn.
            // SAFETY: as above.
            unsafe { self.ready.push_front(fiber) };
        } else {
            // SAFETY: as above.
            unsafe { self.ready.push_back(fiber) };
        }
        self.fast.leave_ring();
    }

    /// Puts a fiber back into its place in the ring of its own level.
    ///
    /// # Safety
    ///
    /// The fiber must be alive and in no ring. The caller must be the owner.
    unsafe fn put_back(&self, fiber: *const Header, place: *const Header) {
        if ptr::eq(place, fiber) {
            // SAFETY: the caller's promise.
            unsafe { self.ready.push_back(fiber) };
        // SAFETY: as above.
        } else if unsafe { !self.ready.insert_before(fiber, place) } {
            // The fiber was not in the ring, or the fiber behind it has left the ring.
            // SAFETY: as above.
            unsafe { self.ready.push_front(fiber) };
        }
    }
}

/// Returns the last byte of the number of completed turns. After 256 turns at an inherited level, a
/// fiber may be mistaken for one that has not run, and be put into an old place.
#[cfg_attr(
    not(feature = "smp"),
    expect(
        clippy::missing_const_for_fn,
        reason = "it reads an atomic with several cores"
    )
)]
fn turn_of(header: &Header) -> u8 {
    header.dispatches().get().to_le_bytes()[0]
}
