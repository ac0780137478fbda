//! What a loop of several asks its ready queue: how many fibers there are, and some to give away.

use super::Ready;
use crate::scheduler::lock_free::inbox::Node as _;
use crate::scheduler::task::header::Header;
use core::ptr;

impl Ready {
    /// Returns the number of ready fibers, the running one included.
    pub(crate) const fn fibers(&self) -> usize {
        self.count.get()
    }

    /// Takes up to `most` fibers out of the rings for which `is_wanted` returns true, those of higher
    /// levels first, and calls `take` with each. It looks at no more than `looks` fibers.
    ///
    /// # Safety
    ///
    /// `is_wanted` must not return true for the running fiber. Neither function changes the queue.
    pub(crate) unsafe fn take_some(
        &self,
        mut most: usize,
        mut looks: usize,
        is_wanted: impl Fn(*const Header) -> bool,
        mut take: impl FnMut(*const Header),
    ) {
        let mut levels = self.levels.get();
        while let Some(level) = levels.checked_ilog2() {
            levels &= !(1 << level);
            let tail = self.tail(level as usize);
            let last = tail.get();
            let mut before = last;
            loop {
                if most == 0 || looks == 0 {
                    return;
                }
                looks -= 1;
                // SAFETY: fibers in a ring are alive.
                let link = unsafe { (*before).link() };
                let at = link.get();
                let is_last = ptr::eq(at, last);
                if is_wanted(at) {
                    most -= 1;
                    self.one_less();
                    if ptr::eq(at, before) {
                        self.clear(level as usize);
                    } else {
                        // SAFETY: as above.
                        link.set(unsafe { (*at).next() });
                        if is_last {
                            tail.set(before);
                        }
                    }
                    take(at);
                } else {
                    before = at;
                }
                if is_last {
                    break;
                }
            }
        }
    }

    /// Returns whether a fiber is in the ring of its level.
    pub(crate) fn has(&self, fiber: *const Header) -> bool {
        // SAFETY: the fiber is alive.
        let last = self.tail(unsafe { (*fiber).level() }).get();
        let mut at = last;
        // SAFETY: fibers in a ring are alive.
        while let Some(before) = unsafe { at.as_ref() } {
            at = before.next();
            if ptr::eq(at, fiber) {
                return true;
            }
            if ptr::eq(at, last) {
                break;
            }
        }
        false
    }
}
