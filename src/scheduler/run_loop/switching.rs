//! The switch from fiber to fiber, of one that waits and of one that ends.

use super::RunLoop;
use super::stack_check::before_leaving;
use crate::context::{self, After, Payload};
use crate::scheduler::cpu::current;
use crate::scheduler::task::header::Header;
use crate::trace::points;
use core::ptr;

impl RunLoop {
    /// Makes the running fiber wait until it is woken. Returns at once if it was woken since it
    /// last waited, or if it heeds a cancellation and was cancelled.
    ///
    /// # Safety
    ///
    /// The requirements of [`yield_now`](Self::yield_now) apply, and the wait must be recorded.
    #[inline(always)]
    pub(crate) unsafe fn block<const HEEDS_CANCELLATION: bool>(&self, prev: *const Header) {
        // SAFETY: it runs, and does not wait yet.
        unsafe { before_leaving(prev) };
        // SAFETY: R3: `prev` is the first of its ring, and alive.
        let mut next = unsafe { (*prev).next() };
        if !self.fast.are_allowed() || ptr::eq(next, prev) {
            // SAFETY: the caller's promise.
            next = unsafe { self.next_after_wait(prev, HEEDS_CANCELLATION) };
            if ptr::eq(next, prev) {
                return;
            }
        } else {
            // SAFETY: R4: fast yields are allowed, so there is one.
            let ring = unsafe { &*self.fast.ring() };
            // Done before anybody can see that the fiber waits: from then on its link belongs to
            // the inbox.
            // SAFETY: R4: `prev` is its first, and not its only one.
            unsafe { ring.cut_first(next) };
            self.ready.one_less();
            // SAFETY: it runs.
            if unsafe { !Self::park::<HEEDS_CANCELLATION>(prev) } {
                // SAFETY: it is in no ring.
                return unsafe { self.stay(prev) };
            }
            // SAFETY: R2: the next in the ring is alive, and ready.
            unsafe { Self::set_running(next) };
        }
        // SAFETY: R2.
        unsafe { Self::switch(prev, next) };
    }

    /// Returns the next fiber after a wait that finds something in the inbox, no other fiber of its
    /// level, or a hook. The fiber is recorded as running. It is `prev` if `prev` was woken.
    ///
    /// # Safety
    ///
    /// The requirements of [`block`](Self::block) apply.
    #[cold]
    #[inline(never)]
    unsafe fn next_after_wait(
        &self,
        prev: *const Header,
        heeds_cancellation: bool,
    ) -> *const Header {
        #[cfg(feature = "smp")]
        if self.ready.fibers() == 1 {
            // What it waits for may come soon. It then goes on as if it had not waited.
            // SAFETY: it runs.
            self.linger(unsafe { &(*prev).state });
        }
        self.fast.leave_ring(); // R4: the ring may become empty.
        // SAFETY: R3.
        unsafe { self.ready.remove_first(prev) };
        let is_parked = if heeds_cancellation {
            // SAFETY: it runs.
            unsafe { Self::park::<true>(prev) }
        } else {
            // SAFETY: it runs.
            unsafe { Self::park::<false>(prev) }
        };
        if !is_parked {
            // SAFETY: it is in no ring any more.
            unsafe { self.stay(prev) };
            return prev;
        }
        #[cfg(feature = "smp")]
        // SAFETY: as above. (A fiber that ends does not come here: see `close_for_joiner`.)
        unsafe {
            self.share(prev, false);
        }
        // SAFETY: as above.
        unsafe { self.next_without(prev) }
    }

    /// Marks the running fiber as one that waits. Returns false if it is not to wait: see
    /// [`block`](Self::block).
    ///
    /// # Safety
    ///
    /// `fiber` must run.
    #[inline(always)]
    unsafe fn park<const HEEDS_CANCELLATION: bool>(fiber: *const Header) -> bool {
        // SAFETY: the caller's promise.
        let header = unsafe { &*fiber };
        if HEEDS_CANCELLATION {
            header
                .state
                .park_unless_cancelled(|| header.shields.get() == 0)
        } else {
            header.state.park()
        }
    }

    /// Makes the running fiber the first of its ring again: it was about to wait, but was woken
    /// before.
    ///
    /// # Safety
    ///
    /// The requirements of [`block`](Self::block) apply, and the fiber must be in no ring.
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn stay(&self, fiber: *const Header) {
        // SAFETY: the caller's promise.
        unsafe { self.ready.push_front(fiber) };
    }

    /// Returns the next fiber after `prev` has left the ready queue. The fiber is recorded as
    /// running. It is `prev` itself if `prev` was woken meanwhile.
    ///
    /// # Safety
    ///
    /// `prev` must run and be in no ring, and the caller must be the owner.
    #[inline]
    unsafe fn next_without(&self, prev: *const Header) -> *const Header {
        if !self.inbox.is_empty() {
            // Fibers that only wait for each other never yield and never reach root, so waits check
            // the inbox too.
            // SAFETY: the caller is the owner.
            unsafe { self.drain_aside() };
        }
        if self.ready.is_empty() {
            self.announce_root(prev);
            return &raw const self.root;
        }
        // SAFETY: it is not empty, and the caller is the owner.
        unsafe { self.announce_first(prev, prev) }
    }

    /// Empties the inbox like [`drain`](Self::drain), out of line.
    ///
    /// # Safety
    ///
    /// The caller must be the owner.
    #[cold]
    #[inline(never)]
    pub(crate) unsafe fn drain_aside(&self) {
        // SAFETY: the caller's promise.
        unsafe { self.drain() };
    }

    /// Records the running fiber, after another fiber of this loop.
    ///
    /// # Safety
    ///
    /// `next` must be a fiber that is about to run.
    #[inline(always)]
    pub(super) unsafe fn set_running(next: *const Header) {
        current::set_next(next);
    }

    /// Counts a completed turn. A turn is counted at its end because, at its beginning, the data of
    /// `next` is not in the cache yet, and the switch would have to wait for it.
    ///
    /// # Safety
    ///
    /// `prev` must run, or must have ended just now.
    #[inline(always)]
    unsafe fn count_turn(prev: *const Header) {
        // SAFETY: the caller's promise.
        let dispatches = unsafe { (*prev).dispatches() };
        dispatches.set(dispatches.get().wrapping_add(1));
    }

    /// Switches from `prev` to `next`.
    ///
    /// # Safety
    ///
    /// `prev` must run in a loop of which the caller is the owner. `next` must be of the same loop, must
    /// not run, and must be ready or be root.
    #[inline(always)]
    pub(crate) unsafe fn switch(prev: *const Header, next: *const Header) {
        // SAFETY: the caller's promise.
        unsafe { Self::count_turn(prev) };
        points::switch(next);
        let (prev_block, next_block) = (Header::block(prev), Header::block(next));
        // SAFETY: C1 to C3: `next` does not run and its registers are stored: only the owner leaves
        // it, and only the owner takes it up again; or it is new. Headers do not move while their
        // fiber lives.
        let _transfer = unsafe { context::switch(prev_block, next_block, Payload::uninit()) };
        if cfg!(any(miri, kfiber_threads)) {
            // With threads as fibers, each thread has its own two words that say which fiber runs.
            // SAFETY: root has no loop, and is the only one.
            if unsafe { Header::loop_address(prev) }.is_null() {
                current::set_nobody();
            } else {
                // SAFETY: it runs again.
                unsafe { current::set_first(prev) };
            }
        }
    }

    /// Ends the running fiber. Once nobody uses its stack, the next fiber calls `after`.
    ///
    /// The function returns only with threads as fibers: it returns what the thread then returns.
    ///
    /// # Safety
    ///
    /// The requirements of [`block`](Self::block) apply. Nothing on the fiber's stack may be needed
    /// any more, except what `after` knows of.
    #[inline]
    pub(crate) unsafe fn exit(&self, fiber: *const Header, after: After) -> Payload {
        // SAFETY: it runs, and does not yet end.
        unsafe { before_leaving(fiber) };
        // SAFETY: the caller's promise.
        unsafe { self.leave_for_good(fiber, after) }
    }

    /// Behaves like [`exit`](Self::exit), for a fiber whose stack is not examined any more.
    ///
    /// # Safety
    ///
    /// The requirements of [`exit`](Self::exit) apply. The caller may be on another stack, which is
    /// not used any more once the next fiber runs.
    #[inline]
    pub(crate) unsafe fn leave_for_good(&self, fiber: *const Header, after: After) -> Payload {
        #[cfg(not(feature = "smp"))]
        self.count_end();
        // SAFETY: it has ended.
        unsafe { Self::count_turn(fiber) };
        // SAFETY: the caller's promise.
        let next = unsafe { self.next_for_good(fiber) };
        points::end(fiber);
        points::switch(next);
        #[cfg(feature = "smp")]
        // Its state says already that it has finished, and it keeps its stack. Done later, on the stack
        // of the next fiber, this would be lost if that has no room.
        // SAFETY: it has not left its stack yet.
        if unsafe { (*fiber).state.is_failed() } {
            self.team().one_has_ended();
        }
        // SAFETY: C1 to C3, as in `switch`; the rest is the caller's promise.
        unsafe { context::leave(Header::block(next), after, Header::block(fiber)) }
    }

    /// Takes the running fiber, which ends, out of its ring. Returns what runs next: a fiber, which
    /// is recorded as running, or root.
    ///
    /// # Safety
    ///
    /// The requirements of [`exit`](Self::exit) apply.
    #[inline(always)]
    pub(crate) unsafe fn next_for_good(&self, fiber: *const Header) -> *const Header {
        // SAFETY: R3: it is the first of its ring, and alive.
        let next = unsafe { (*fiber).next() };
        if !self.fast.are_allowed() || ptr::eq(next, fiber) {
            // SAFETY: the caller's promise.
            return unsafe { self.next_for_good_slowly(fiber) };
        }
        // SAFETY: R4: fast yields are allowed, so there is one.
        let ring = unsafe { &*self.fast.ring() };
        // SAFETY: R4: the fiber is its first, and not its only one.
        unsafe { ring.cut_first(next) };
        self.ready.one_less();
        // SAFETY: R2.
        unsafe { Self::set_running(next) };
        next
    }

    /// The slow path of [`next_for_good`](Self::next_for_good).
    ///
    /// # Safety
    ///
    /// The requirements of [`exit`](Self::exit) apply.
    #[cold]
    #[inline(never)]
    unsafe fn next_for_good_slowly(&self, fiber: *const Header) -> *const Header {
        self.fast.leave_ring(); // R4: the ring may become empty.
        // SAFETY: R3.
        unsafe { self.ready.remove_first(fiber) };
        #[cfg(feature = "smp")]
        if self.is_asked() {
            // Root gives fibers away, when this one has left its stack: a joiner may be among them.
            self.announce_root(fiber);
            return &raw const self.root;
        }
        // SAFETY: it is in no ring any more, and nobody wakes it.
        unsafe { self.next_without(fiber) }
    }
}
