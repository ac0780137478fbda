//! The control block of a scheduled fiber: 128 bytes at the top of its stack.
//!
//! ```text
//!   line 1   frame record │ next, turns │ rbp, ip, sp, rbx    what a switch among equals reads and writes
//!   line 2   state │ run loop │ wait │ end │ name │ bottom │ list of all │ levels
//! ```
//!
//! A zeroed header is that of a fiber that never was: generation 0, in no queue.

use super::wait::Wait;
use crate::context::{After, ControlBlock};
use crate::scheduler::lock_free::inbox::{Link, Node};
use crate::scheduler::lock_free::state::State;
use crate::stack::{PAGE_SIZE, StackBounds};
use core::cell::{Cell, UnsafeCell};
use core::mem::offset_of;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU16, Ordering};

/// See the [module](self).
///
/// Everything but `state`, and the link while in an inbox, belongs to the run loop that runs the fiber.
#[repr(C, align(64))]
pub(crate) struct Header {
    block: UnsafeCell<ControlBlock>,
    pub(crate) state: State,
    /// The loop of every fiber that ever has this header, null before the first.
    run_loop: AtomicPtr<()>,
    /// What the fiber waits for, on its own stack; null if for nothing.
    pub(crate) wait: Cell<*const Wait>,
    /// What its successor does with it once it has ended.
    pub(crate) end: Cell<Option<After>>,
    name_at: Cell<*const u8>,
    pub(crate) stack_bottom: Cell<*mut u8>,
    /// The next one in the run loop's list of all fibers.
    pub(crate) next_of_all: AtomicPtr<Self>,
    name_bytes: Cell<u8>,
    /// How many shields against cancellation are up.
    pub(crate) shields: Cell<u8>,
    /// The level that it is scheduled at.
    pub(crate) level: Cell<u8>,
    /// The level that it was given, which differs while it inherits a higher one.
    pub(crate) own_level: Cell<u8>,
    /// How many pages below the stack are for a guard.
    guard_pages: Cell<u8>,
    /// What an [`OwnerWord`](crate::scheduler::task::owner::OwnerWord) has of the generation.
    pub(crate) tag: Cell<u8>,
    /// Made of `next_of_all`: an overflow of the stack above this header writes over that, and a walk through the list
    /// must notice.
    pub(crate) link_check: AtomicU16,
}

// The stack above comes down from the end of the block: a whole `next_of_all` says that what is below it is whole, too.
const _: () = assert!(
    offset_of!(Header, next_of_all) > offset_of!(Header, stack_bottom)
        && offset_of!(Header, next_of_all) > offset_of!(Header, name_at)
);

#[cfg(not(all(feature = "fp-control", target_feature = "sse")))]
const _: () = assert!(size_of::<Header>() == 128, "two lines");

// SAFETY: shared by reference between cores and interrupt handlers are the state, which is atomic, and the link while the
// fiber is in an inbox. The rest is used by the owner only (see the type).
unsafe impl Sync for Header {}

impl Header {
    /// Where in a header the loop is named.
    pub(crate) const RUN_LOOP_AT: usize = offset_of!(Self, run_loop);

    /// Where in a header the stack pointer is that was stored when its fiber last left its stack.
    pub(crate) const SP_AT: usize = offset_of!(Self, block) + ControlBlock::OWN_SP_AT;

    /// The header of a run loop's own context, which is in no queue.
    pub(crate) const fn root() -> Self {
        Self {
            block: UnsafeCell::new(ControlBlock::new()),
            state: State::new(),
            run_loop: AtomicPtr::new(ptr::null_mut()),
            wait: Cell::new(ptr::null()),
            end: Cell::new(None),
            name_at: Cell::new(ptr::null()),
            stack_bottom: Cell::new(ptr::null_mut()),
            next_of_all: AtomicPtr::new(ptr::null_mut()),
            name_bytes: Cell::new(0),
            shields: Cell::new(0),
            level: Cell::new(0),
            own_level: Cell::new(0),
            guard_pages: Cell::new(0),
            tag: Cell::new(0),
            link_check: AtomicU16::new(0),
        }
    }

    /// The part that the switch knows. A cast, so that the pointer may still be used for what lies around the header.
    #[inline(always)]
    pub(crate) const fn block(header: *const Self) -> *mut ControlBlock {
        header.cast_mut().cast()
    }

    /// The address of the loop that a fiber runs in: more is not known here.
    ///
    /// # Safety
    ///
    /// The fiber is alive, or was once: its header stays readable.
    #[inline(always)]
    pub(crate) unsafe fn loop_address(fiber: *const Self) -> *const () {
        // SAFETY: the caller's promise.
        unsafe { &(*fiber).run_loop }.load(Ordering::Relaxed)
    }

    #[inline(always)]
    const fn words(&self) -> *mut [*mut (); 2] {
        // SAFETY: fibers of a scheduler are entered by `switch` alone.
        unsafe { ControlBlock::spare_words(self.block.get()) }
    }

    /// What the fiber waits for. It may have been woken already, and look again when it runs.
    ///
    /// # Safety
    ///
    /// The caller is the owner of the fiber's loop; the record is good until that fiber runs.
    pub(crate) const unsafe fn waits_for<'a>(&self) -> Option<&'a Wait> {
        // SAFETY: the record is on the fiber's stack, and the pointer is reset when the fiber goes on.
        unsafe { self.wait.get().as_ref() }
    }

    /// The next one in the ring that this fiber is in.
    #[inline(always)]
    pub(crate) fn next(&self) -> *const Self {
        self.link().get()
    }

    /// How many of its turns are over. In the line that a switch writes anyway.
    #[inline(always)]
    pub(crate) const fn turns(&self) -> &Cell<u64> {
        // SAFETY: the second word is nothing else than this count, and as aligned.
        unsafe { &*self.words().cast::<Cell<u64>>().wrapping_add(1) }
    }

    /// Says in which loop the fibers of this header run. Returns whether it had none before, or nothing if it has another.
    pub(crate) fn set_run_loop(&self, run_loop: *const ()) -> Option<bool> {
        let before = self.run_loop.load(Ordering::Relaxed);
        if before.is_null() {
            self.run_loop.store(run_loop.cast_mut(), Ordering::Relaxed);
        }
        (before.is_null() || ptr::eq(before, run_loop)).then_some(before.is_null())
    }

    /// The name; of a longer one, the first 255 bytes.
    pub(crate) fn name(&self) -> &'static str {
        if self.name_at.get().is_null() {
            return "";
        }
        // SAFETY: `set_name` took both from a `&'static str`, cut at the end of a character.
        let bytes = unsafe {
            core::slice::from_raw_parts(self.name_at.get(), self.name_bytes.get().into())
        };
        // SAFETY: as above.
        unsafe { str::from_utf8_unchecked(bytes) }
    }

    /// Says where the stack of a cell lies. Its top is this header.
    pub(crate) fn set_stack(&self, bounds: StackBounds) {
        self.stack_bottom.set(bounds.bottom());
        let pages = bounds.guard().len() / PAGE_SIZE;
        self.guard_pages.set(u8::try_from(pages).unwrap_or(u8::MAX));
    }

    /// Where the stack of a cell lies: up to this header.
    ///
    /// # Safety
    ///
    /// The header is a cell's, and had a fiber once.
    pub(crate) unsafe fn stack(fiber: *const Self) -> StackBounds {
        // SAFETY: the caller's promise.
        let header = unsafe { &*fiber };
        let bottom = header.stack_bottom.get();
        let size = fiber.addr().wrapping_sub(bottom.addr());
        let guard_bytes = usize::from(header.guard_pages.get()) * PAGE_SIZE;
        // SAFETY: `set_stack` took them from bounds.
        unsafe { StackBounds::new_unchecked(bottom, size, guard_bytes) }
    }

    /// The level that it is scheduled at.
    #[inline(always)]
    pub(crate) fn level(&self) -> usize {
        self.level.get().into()
    }

    pub(crate) fn set_name(&self, name: &'static str) {
        let end = name.floor_char_boundary(u8::MAX.into());
        self.name_at.set(name.as_ptr());
        self.name_bytes.set(u8::try_from(end).expect("cut to fit"));
    }
}

// SAFETY: the link is always the same word. While the fiber is in an inbox it waits, so it is in no ring, which is what
// else the word is for.
unsafe impl Node for Header {
    #[inline(always)]
    fn link(&self) -> &Link<Self> {
        // SAFETY: the first word is nothing else than the link, which is a transparent atomic pointer.
        unsafe { &*self.words().cast() }
    }
}

/// Whether the running fiber is asked to end, and not shielded.
#[inline(always)]
pub(crate) fn is_cancelled(fiber: *const Header) -> bool {
    // SAFETY: it runs.
    let fiber = unsafe { &*fiber };
    fiber.state.is_cancelled() && fiber.shields.get() == 0
}

/// Whether a fiber, if it is one, fails or has failed.
#[inline(always)]
pub(crate) fn has_failed(fiber: *const Header) -> bool {
    // SAFETY: headers stay readable for good.
    unsafe { fiber.as_ref() }.is_some_and(|header| header.state.is_failed())
}
