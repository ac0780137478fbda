//! A change of the level that a fiber is scheduled at, while it waits, is ready, or runs.

use super::current;
use super::header::Header;
use super::run_loop::RunLoop;
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
        if header.state.is_waiting() {
            header.level.set(level);
            return;
        }
        // SAFETY: R3: it is ready, or runs.
        unsafe { self.ready.remove(fiber) };
        let was_higher = header.level.replace(level) > level;
        let running = current::get();
        // SAFETY: the caller is in it.
        let is_below = unsafe { (*running).level.get() } > level;
        // R3 wants the running fiber in front. One that goes back to a lower level has not lost its turn there.
        if ptr::eq(fiber, running) || (was_higher && is_below) {
            // SAFETY: it is in no ring any more.
            unsafe { self.ready.push_front(fiber) };
        } else {
            // SAFETY: as above.
            unsafe { self.ready.push_back(fiber) };
        }
        self.forbid_fast_yields();
    }
}
