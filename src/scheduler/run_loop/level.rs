//! A change of the level that a fiber is scheduled at, while it waits, is ready, or runs.
//!
//! A fiber that is lent a higher level leaves the ring of its own, and may go back before it ever ran at the higher one. It then
//! gets its place back: at the front it would run before those that it let go first, at the end it would let others go first again.
//! What it remembers is the fiber that was behind it; or, if it was the last, itself; or null, if it was not in the ring or
//! was running. Then, and if it has run meanwhile, its place is at the front: those of its own level wait for it.

use super::RunLoop;
use crate::scheduler::cpu::current;
use crate::scheduler::task::control::Extra;
use crate::scheduler::task::header::Header;
use core::ptr;

impl RunLoop {
    /// Changes the level of a fiber, whatever it does.
    ///
    /// # Safety
    ///
    /// The fiber is alive, has not ended, and belongs to this loop; the caller is the owner, in a fiber.
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
        // SAFETY: the caller is in it.
        let is_below = unsafe { (*running).level.get() } > level;
        let goes_down = was_higher && is_below;
        if goes_down && level == own && turn_of(header) == extra.place_at_turn.get() {
            // SAFETY: it is in no ring any more.
            unsafe { self.put_back(fiber, extra.place.get()) };
        } else if is_running || goes_down {
            // R3 wants the running fiber in front. One that goes down has not lost its turn.
            // SAFETY: as above.
            unsafe { self.ready.push_front(fiber) };
        } else {
            // SAFETY: as above.
            unsafe { self.ready.push_back(fiber) };
        }
        self.forbid_fast_yields();
    }

    /// Puts a fiber into the ring of its own level, where it was.
    ///
    /// # Safety
    ///
    /// The fiber is alive and in no ring; the caller is the owner.
    unsafe fn put_back(&self, fiber: *const Header, place: *const Header) {
        if ptr::eq(place, fiber) {
            // SAFETY: the caller's promise.
            unsafe { self.ready.push_back(fiber) };
        // SAFETY: as above.
        } else if unsafe { !self.ready.insert_before(fiber, place) } {
            // It was not in the ring, or who was behind it is not any more.
            // SAFETY: as above.
            unsafe { self.ready.push_front(fiber) };
        }
    }
}

/// The last byte of how many of its turns are over. (After 256 of them at a level that was lent, a fiber may go to an old place.)
const fn turn_of(header: &Header) -> u8 {
    header.turns().get().to_le_bytes()[0]
}
