//! The switch from fiber to fiber, and what its successor does for the one that left.

use super::current;
use super::header::Header;
use super::run_loop::RunLoop;
use crate::context::{self, ControlBlock, Payload};
use core::ptr;
use core::sync::atomic::Ordering;

/// What a successor has to do for its predecessor, in the low bits of the predecessor's address.
pub(super) const NOTHING: usize = 0;
/// It waits.
pub(super) const PARK: usize = 1;
/// It has ended.
const END: usize = 2;

impl RunLoop {
    /// Lets the next of the same level run, or one of a higher level if there is one.
    ///
    /// # Safety
    ///
    /// `prev` is the running fiber of this loop, and the caller is the owner (**R1**).
    #[inline(always)]
    pub(crate) unsafe fn yield_now(&self, prev: *const Header) {
        // SAFETY: R3: the running fiber is ready, so the queue is not empty.
        let level = unsafe { self.ready.highest() };
        if !self.inbox.is_empty() || level != self.fast_level.get() {
            // SAFETY: the caller's promise.
            return unsafe { self.yield_slowly(prev) };
        }
        // SAFETY: R3: `prev` is the first of its ring, and alive.
        let next = unsafe { (*prev).next() };
        if ptr::eq(next, prev) {
            return;
        }
        // SAFETY: R3.
        unsafe { self.ready.rotate_at(prev, level) };
        // SAFETY: R2: the next in the ring is alive and ready; nothing is left to do for `prev`.
        unsafe { self.switch_to_fiber(prev, next, NOTHING) };
    }

    /// A yield that finds mail, a change of level, or a hook.
    ///
    /// # Safety
    ///
    /// As [`yield_now`](Self::yield_now).
    #[cold]
    #[inline(never)]
    unsafe fn yield_slowly(&self, prev: *const Header) {
        // SAFETY: the caller is the owner.
        unsafe { self.drain() };
        // SAFETY: R3.
        unsafe { self.ready.rotate(prev) };
        // SAFETY: the running fiber is ready, so the queue is not empty.
        let next = unsafe { self.ready.first() };
        if !ptr::eq(next, prev) {
            // SAFETY: R2.
            unsafe { self.change_to(prev, next, NOTHING) };
        }
    }

    /// Switches to whoever is to run now that `prev` left the ready queue.
    ///
    /// # Safety
    ///
    /// `prev` runs, is in no ring, and the caller is the owner.
    #[inline]
    pub(super) unsafe fn leave(&self, prev: *const Header, action: usize) {
        if !self.inbox.is_empty() {
            // Fibers that only ever wait for each other never yield and never reach root, so they look too.
            // SAFETY: the caller is the owner.
            unsafe { self.drain_before_leaving() };
        }
        if self.ready.is_empty() {
            // SAFETY: the caller's promise.
            return unsafe { self.leave_to_root(prev, action) };
        }
        // SAFETY: it is not empty.
        let next = unsafe { self.ready.first() };
        // SAFETY: R2.
        unsafe { self.change_to(prev, next, action) };
    }

    /// Takes in the mail of a fiber that waits or ends. It is in no ring, and is not parked yet, so no mail is for itself.
    ///
    /// # Safety
    ///
    /// As [`leave`](Self::leave).
    #[cold]
    #[inline(never)]
    unsafe fn drain_before_leaving(&self) {
        // SAFETY: the caller's promise.
        unsafe { self.drain() };
    }

    /// Nobody is ready: the loop's own context goes on.
    ///
    /// # Safety
    ///
    /// As [`leave`](Self::leave).
    #[inline(never)]
    unsafe fn leave_to_root(&self, prev: *const Header, action: usize) {
        if let Some(hook) = self.hook.get() {
            hook(prev.cast(), ptr::null());
        }
        current::set(ptr::null());
        // SAFETY: root does not run while a fiber does.
        unsafe { self.switch(prev, &raw const self.root, action) };
    }

    /// A switch to a fiber that may change the level, and calls the hook.
    ///
    /// # Safety
    ///
    /// As [`switch`](Self::switch); `next` is not root.
    #[inline(always)]
    pub(super) unsafe fn change_to(&self, prev: *const Header, next: *const Header, action: usize) {
        if let Some(hook) = self.hook.get() {
            let is_root = ptr::eq(prev, &raw const self.root);
            hook(if is_root { ptr::null() } else { prev.cast() }, next.cast());
        } else {
            // SAFETY: R2.
            self.fast_level.set(unsafe { (*next).level() });
        }
        // SAFETY: the caller's promise.
        unsafe { self.switch_to_fiber(prev, next, action) };
    }

    /// The switch to a fiber.
    ///
    /// # Safety
    ///
    /// As [`switch`](Self::switch); `next` is not root.
    #[inline(always)]
    unsafe fn switch_to_fiber(&self, prev: *const Header, next: *const Header, action: usize) {
        // SAFETY: R2.
        let count = unsafe { (*next).switches() };
        count.set(count.get().wrapping_add(1));
        current::set_fiber(next);
        // SAFETY: the caller's promise.
        unsafe { self.switch(prev, next, action) };
    }

    /// The switch, and what must follow it.
    ///
    /// # Safety
    ///
    /// `prev` runs in this loop; `next` does not, and is ready or is root; the caller is the owner.
    #[inline(always)]
    unsafe fn switch(&self, prev: *const Header, next: *const Header, action: usize) {
        let action = if action == NOTHING {
            ptr::null()
        } else {
            prev.map_addr(|address| address | action)
        };
        let (prev_block, next_block) = (Header::block(prev), Header::block(next));
        #[cfg(any(miri, kfiber_threads))]
        if action.addr() & END != 0 {
            // A thread can only end by returning, and what it returns to is its parent.
            // SAFETY: as below; `prev` is in no ring any more, which is what its parent's words were for.
            return unsafe { context::return_to(prev_block, next_block) };
        }
        // SAFETY: C1 to C3: `next` does not run and its registers are stored: it left by a switch, whose successor
        // was told, or is new; headers do not move while their fiber lives.
        let landed = unsafe { context::switch(prev_block, next_block, pack(action)) };
        if cfg!(any(miri, kfiber_threads)) {
            // With threads for fibers, the word that says who runs is one for each of them.
            current::set(if ptr::eq(prev, &raw const self.root) {
                ptr::null()
            } else {
                prev
            });
        }
        // SAFETY: whoever switched to us packed it.
        unsafe { after_switch(landed.payload) };
    }

    /// The running fiber has ended; `end` in its header says what is to be done with it. Returns with threads for fibers
    /// only: what the thread then returns to its successor.
    ///
    /// # Safety
    ///
    /// As [`block`](Self::block); nothing on the fiber's stack is wanted any more but what `end` knows of.
    pub(crate) unsafe fn exit(&self, fiber: *const Header) -> Payload {
        self.live.fetch_sub(1, Ordering::Relaxed);
        // SAFETY: R3.
        unsafe { self.ready.remove_first(fiber) };
        // SAFETY: it runs, and is in no ring any more.
        unsafe { self.leave(fiber, END) };
        if cfg!(any(miri, kfiber_threads)) {
            return pack(fiber.map_addr(|address| address | END));
        }
        unreachable!("a fiber that has ended was switched to");
    }
}

const fn pack(action: *const Header) -> Payload {
    let mut word = Payload::uninit();
    // SAFETY: a pointer is as large as the word, and as aligned.
    unsafe { word.as_mut_ptr().cast::<*const Header>().write(action) };
    word
}

/// What every context does first after a switch: finishes what its predecessor began.
///
/// # Safety
///
/// The payload is that of a switch of this module.
#[inline(always)]
pub(crate) unsafe fn after_switch(payload: Payload) {
    // SAFETY: `pack` made it.
    let action = unsafe { payload.as_ptr().cast::<*const Header>().read() };
    if !action.is_null() {
        // SAFETY: the caller's promise.
        unsafe { complete(action) };
    }
}

/// # Safety
///
/// As [`after_switch`].
unsafe fn complete(action: *const Header) {
    if action.addr() & PARK != 0 {
        let prev: *const Header = action.map_addr(|address| address - PARK);
        // SAFETY: its registers are stored, it is alive, and we are its successor.
        if !unsafe { (*prev).state.commit_parked() } {
            // SAFETY: it was woken on its way: it is ready, and in no ring or inbox. Its loop is ours.
            let run_loop = unsafe { Header::run_loop(prev) };
            // SAFETY: we run in the same loop, as its owner.
            unsafe { run_loop.enqueue(prev) };
        }
    } else {
        let prev: *const Header = action.map_addr(|address| address - END);
        // SAFETY: R2, until `end` was called.
        let end = unsafe { (*prev).end.get() };
        // SAFETY: it has ended, and nothing runs on its stack.
        unsafe { end.expect("set by spawn")(prev) };
    }
}

const _: () = assert!(align_of::<Header>() > PARK + END && align_of::<ControlBlock>() > PARK + END);
