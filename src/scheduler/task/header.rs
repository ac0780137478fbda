//! The header of a scheduled fiber: the first two cache lines of its control block.
//!
//! ```text
//!   line 1   frame record │ next, dispatches │ rbp, ip, sp, rbx    what a switch among equals reads and writes
//!   line 2   state │ run loop │ wait │ longest run │ name │ bottom │ list of all │ levels
//! ```
//!
//! A zeroed header is valid and belongs to no fiber: it has generation 0 and is in no queue.

#[cfg(all(test, target_os = "linux"))]
mod tests;

use super::prefix::prefix_bytes;
use super::wait::Wait;
use crate::context::{Context, ControlBlock};
use crate::scheduler::lock_free::inbox::{Link, Node};
use crate::scheduler::lock_free::state::State;
use crate::stack::{PAGE_SIZE, StackBounds};
#[cfg(not(miri))]
use core::arch::asm;
use core::cell::{Cell, UnsafeCell};
use core::mem::offset_of;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU8, AtomicU16, AtomicU64, Ordering, fence};

/// A header; see the [module](self).
///
/// Everything except `state`, and except the link while the header is in an inbox, belongs to the
/// run loop of the fiber.
#[repr(C, align(64))]
pub(crate) struct Header {
    block: UnsafeCell<ControlBlock>,
    pub(crate) state: State,
    /// The loop of all fibers that ever have this header. It is null before the first fiber.
    run_loop: AtomicPtr<()>,
    /// The record of the fiber's wait, on the fiber's own stack, or null if the fiber does not
    /// wait.
    pub(crate) wait: Cell<*const Wait>,
    /// The longest time, in microseconds, for which a watchdog saw a fiber run without yielding or
    /// waiting. The upper half is the generation of that fiber.
    longest_run: AtomicU64,
    name_at: AtomicPtr<u8>,
    pub(crate) stack_bottom: Cell<*mut u8>,
    /// The next header in the run loop's list of all fibers.
    pub(crate) next_of_all: AtomicPtr<Self>,
    name_bytes: AtomicU8,
    /// The number of nested shields against cancellation.
    pub(crate) shields: Cell<u8>,
    /// The level at which the fiber is scheduled.
    pub(crate) level: Cell<u8>,
    /// The level that was given to the fiber, which never changes. It differs from `level` while the
    /// fiber inherits a higher one.
    pub(crate) own_level: Cell<u8>,
    /// The number of pages below the stack that are reserved for a guard.
    guard_pages: Cell<u8>,
    /// The bits of the generation that an [`OwnerWord`](crate::scheduler::task::owner::OwnerWord)
    /// contains.
    pub(crate) tag: Cell<u8>,
    /// A check value of `next_of_all`. An overflow of the stack above this header overwrites that
    /// link, and a walk through the list must notice it.
    pub(crate) link_check: AtomicU16,
}

// An overflow of the stack above comes down from the end of the block. So if `next_of_all` is
// intact, everything below it is intact too.
const _: () = assert!(
    offset_of!(Header, next_of_all) > offset_of!(Header, stack_bottom)
        && offset_of!(Header, next_of_all) > offset_of!(Header, name_at)
);

#[cfg(not(all(feature = "fp-control", target_feature = "sse")))]
const _: () = assert!(size_of::<Header>() == 128, "two lines");

// SAFETY: shared by reference between cores and interrupt handlers are the state, which is atomic,
// and the link while the fiber is in an inbox. The rest is used by the owner only (see the type).
unsafe impl Sync for Header {}

/// The number of a fiber's turns. With several cores another core may read it.
#[repr(transparent)]
pub(crate) struct Turns(
    #[cfg(not(feature = "smp"))] Cell<u64>,
    #[cfg(feature = "smp")] AtomicU64,
);

#[cfg(not(feature = "smp"))]
impl Turns {
    #[inline(always)]
    pub(crate) const fn get(&self) -> u64 {
        self.0.get()
    }

    #[inline(always)]
    pub(crate) fn set(&self, turns: u64) {
        self.0.set(turns);
    }
}

#[cfg(feature = "smp")]
impl Turns {
    #[inline(always)]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Only the owner of the fiber's loop may call this.
    #[inline(always)]
    pub(crate) fn set(&self, turns: u64) {
        self.0.store(turns, Ordering::Relaxed);
    }
}

impl Header {
    /// The offset of the loop's address in a header.
    pub(crate) const RUN_LOOP_AT: usize = offset_of!(Self, run_loop);

    /// The offset in a header of what was stored when its fiber last left its stack.
    pub(crate) const OWN_AT: usize = offset_of!(Self, block) + ControlBlock::OWN_AT;

    /// The offset in a header of the stack pointer that was stored then.
    pub(crate) const SP_AT: usize = Self::OWN_AT + Context::SP_AT;

    /// The offset in a header of the link to the next in the same ring or inbox.
    pub(crate) const LINK_AT: usize = offset_of!(Self, block) + ControlBlock::SPARE_AT;

    /// The offset in a header of the number of turns.
    pub(crate) const TURNS_AT: usize = Self::LINK_AT + size_of::<usize>();

    /// Creates the header of a run loop's own context, which is in no queue.
    pub(crate) const fn root() -> Self {
        Self {
            block: UnsafeCell::new(ControlBlock::new()),
            state: State::new(),
            run_loop: AtomicPtr::new(ptr::null_mut()),
            wait: Cell::new(ptr::null()),
            longest_run: AtomicU64::new(0),
            name_at: AtomicPtr::new(ptr::null_mut()),
            stack_bottom: Cell::new(ptr::null_mut()),
            next_of_all: AtomicPtr::new(ptr::null_mut()),
            name_bytes: AtomicU8::new(0),
            shields: Cell::new(0),
            level: Cell::new(0),
            own_level: Cell::new(0),
            guard_pages: Cell::new(0),
            tag: Cell::new(0),
            link_check: AtomicU16::new(0),
        }
    }

    /// Returns the part that the switch accesses. It is a pointer cast, so that the pointer may
    /// still be used for what lies around the header.
    #[inline(always)]
    pub(crate) const fn block(header: *const Self) -> *mut ControlBlock {
        header.cast_mut().cast()
    }

    /// Returns the address of the loop that a fiber belongs to. The type of the loop is not known
    /// here.
    ///
    /// # Safety
    ///
    /// The fiber must be alive, or have been alive once: its header stays readable.
    #[inline(always)]
    pub(crate) unsafe fn loop_address(fiber: *const Self) -> *const () {
        // SAFETY: the caller's promise.
        unsafe { &(*fiber).run_loop }.load(Self::LOOP_ORDER)
    }

    /// With several loops, whoever finds that a fiber belongs to its loop sees what the last one has
    /// written into the header.
    const LOOP_ORDER: Ordering = if cfg!(feature = "smp") {
        Ordering::Acquire
    } else {
        Ordering::Relaxed
    };

    /// Sets the loop that a fiber belongs to from now on.
    #[cfg(feature = "smp")]
    pub(crate) fn change_run_loop(&self, run_loop: *const ()) {
        self.run_loop.store(run_loop.cast_mut(), Ordering::Release);
    }

    /// Returns the address of a word of the block that the header uses, by its offset in the header:
    /// fibers of a scheduler are entered by `switch` alone.
    #[inline(always)]
    const fn spare_word(&self, at: usize) -> *mut *mut () {
        const WORDS: usize = size_of::<ControlBlock>() / size_of::<*mut ()>();
        const { assert!(offset_of!(Self, block) == 0) };
        let words = self.block.get().cast::<[*mut (); WORDS]>();
        // SAFETY: the block consists of words.
        unsafe { &raw mut (*words)[at / size_of::<*mut ()>()] }
    }

    /// Returns the record of the fiber's wait. The fiber may already have been woken, and will
    /// check its condition when it runs.
    ///
    /// # Safety
    ///
    /// The caller must be the owner of the fiber's loop. The record is valid until that fiber runs.
    pub(crate) const unsafe fn waits_for<'a>(&self) -> Option<&'a Wait> {
        // SAFETY: the record is on the fiber's stack, and the pointer is reset when the fiber goes
        // on.
        unsafe { self.wait.get().as_ref() }
    }

    /// Returns the next fiber in the ring that contains this one.
    #[inline(always)]
    pub(crate) fn next(&self) -> *const Self {
        self.link().get()
    }

    /// Returns the number of completed turns. It lies in the cache line that a switch writes
    /// anyway.
    #[inline(always)]
    pub(crate) const fn dispatches(&self) -> &Turns {
        // SAFETY: the word is nothing else than this count, and as aligned.
        unsafe { &*self.spare_word(Self::TURNS_AT).cast() }
    }

    /// Returns the name, of which at most the first 255 bytes are kept. It is empty if another core
    /// gives the cell a new fiber at this moment.
    pub(crate) fn name(&self) -> &'static str {
        let generation = self.state.generation();
        fence(Ordering::Acquire);
        let at = self.name_at.load(Ordering::Acquire);
        let bytes = self.name_bytes.load(Ordering::Acquire);
        // Whoever sees the length of a new name also sees that the address of the old one is gone, or
        // that of the new one. The generation excludes that an even newer one has the old address.
        let is_whole = ptr::eq(self.name_at.load(Ordering::Acquire), at)
            && self.state.generation() == generation;
        if at.is_null() || !is_whole {
            return "";
        }
        // SAFETY: `set_name` took both from one `&'static str`, cut at the end of a character.
        let bytes = unsafe { core::slice::from_raw_parts(at, bytes.into()) };
        // SAFETY: as above.
        unsafe { str::from_utf8_unchecked(bytes) }
    }

    /// Returns the name of a fiber of any loop. It is empty if no fiber lives in the cell any more.
    pub(crate) fn name_of_any(&self) -> &'static str {
        #[cfg(not(feature = "smp"))]
        return self.name();
        // While the cell is held, nobody else begins there under another name.
        #[cfg(feature = "smp")]
        {
            let were_enabled = crate::platform::interrupts::are_enabled();
            crate::platform::interrupts::disable();
            let is_held = self.state.hold();
            let name = if is_held { self.name() } else { "" };
            if is_held {
                self.state.end_look();
            }
            if were_enabled {
                crate::platform::interrupts::enable();
            }
            name
        }
    }

    /// Returns the number of pages of a stack's guard, as a header has it. The compiler knows it where
    /// it knows the kind of cell.
    #[inline(always)]
    pub(crate) fn guard_pages_of(bounds: StackBounds) -> u8 {
        u8::try_from(bounds.guard().len() / PAGE_SIZE).unwrap_or(u8::MAX)
    }

    /// Makes this the header of a cell of a loop, before its first fiber. What is set here is the same
    /// for all fibers of the cell. The top of the stack is this header.
    pub(crate) fn found(&self, run_loop: *const (), bottom: *mut u8, guard_pages: u8) {
        self.stack_bottom.set(bottom);
        self.guard_pages.set(guard_pages);
        self.state.found();
        self.run_loop.store(run_loop.cast_mut(), Ordering::Relaxed);
    }

    /// Prepares the header for a new fiber, which finds nothing of the last one, before the state
    /// says that there is one. Every word that a fiber changes and that is not set here is set when
    /// the fiber ends, is left as it was by whoever changed it, or names its generation.
    #[inline(always)]
    pub(crate) fn renew(&self, name: &'static str, level: u8) {
        self.set_name(name);
        self.level.set(level);
        self.own_level.set(level);
        self.shields.set(0);
        self.dispatches().set(0);
    }

    /// Records that a watchdog saw the running fiber run for so many microseconds.
    pub(crate) fn note_run(&self, microseconds: u32) {
        let generation = self.state.generation();
        let new = u64::from(generation) << 32 | u64::from(microseconds);
        let is_longer =
            |old: u64| (of(old, generation).is_none_or(|it| it < microseconds)).then_some(new);
        let _same = self
            .longest_run
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, is_longer);
    }

    /// Returns the longest time, in microseconds, for which a watchdog saw the fiber run.
    pub(crate) fn longest_run(&self) -> u32 {
        let word = self.longest_run.load(Ordering::Relaxed);
        of(word, self.state.generation()).unwrap_or(0)
    }

    /// Returns the bounds of a cell's stack, which ends at this header.
    ///
    /// # Safety
    ///
    /// The header must belong to a cell, and must have had a fiber once.
    pub(crate) unsafe fn stack(fiber: *const Self) -> StackBounds {
        // SAFETY: the caller's promise.
        let header = unsafe { &*fiber };
        let bottom = header.stack_bottom.get();
        let size = fiber.addr().wrapping_sub(bottom.addr());
        let guard_bytes = usize::from(header.guard_pages.get()) * PAGE_SIZE;
        // SAFETY: `found` took them from bounds.
        unsafe { StackBounds::new_unchecked(bottom, size, guard_bytes) }
    }

    /// Returns the level at which the fiber is scheduled.
    #[inline(always)]
    pub(crate) fn level(&self) -> usize {
        self.level.get().into()
    }

    /// Returns the same pointer. The compiler no longer knows that it points into a cell, and addresses
    /// the fields of the control block from here. Their offsets from the cell would take four bytes
    /// each instead of one.
    #[cfg(not(miri))]
    #[inline(always)]
    #[expect(clippy::pointers_in_nomem_asm_block, reason = "it accesses no memory")]
    pub(crate) fn addressed_by_itself(mut header: *const Self) -> *const Self {
        // SAFETY: it is a comment, and leaves the register as it is.
        unsafe {
            asm!("/* {} */", inout(reg) header, options(pure, nomem, nostack, preserves_flags));
        }
        header
    }

    #[cfg(miri)]
    pub(crate) const fn addressed_by_itself(header: *const Self) -> *const Self {
        header
    }

    /// Sets the name of a fiber that is about to be made, before its generation.
    #[inline(always)]
    pub(crate) fn set_name(&self, name: &'static str) {
        if name.is_empty() {
            return self.name_at.store(ptr::null_mut(), Ordering::Relaxed);
        }
        let end = prefix_bytes(name, u8::MAX.into());
        if cfg!(any(target_os = "linux", feature = "smp")) {
            // One core sees both or neither of the other two stores.
            self.name_at.store(ptr::null_mut(), Ordering::Relaxed);
        }
        let bytes = u8::try_from(end).expect("cut to fit");
        self.name_bytes.store(bytes, Ordering::Release);
        self.name_at
            .store(name.as_ptr().cast_mut(), Ordering::Release);
    }
}

/// Returns the lower half of a word whose upper half is this generation.
#[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
fn of(word: u64, generation: u32) -> Option<u32> {
    (word >> 32 == u64::from(generation)).then_some(word as u32)
}

// SAFETY: the link is always the same word. While the fiber is in an inbox it waits, so it is in no
// ring, which is what else the word is for.
unsafe impl Node for Header {
    #[inline(always)]
    fn link(&self) -> &Link<Self> {
        // SAFETY: the word is nothing else than the link, which is a transparent atomic pointer.
        unsafe { &*self.spare_word(Self::LINK_AT).cast() }
    }
}

/// Returns whether the running fiber is cancelled and not shielded.
#[inline(always)]
pub(crate) fn is_cancelled(fiber: *const Header) -> bool {
    // SAFETY: it runs.
    let fiber = unsafe { &*fiber };
    fiber.state.is_cancelled() && fiber.shields.get() == 0
}

/// Returns whether `fiber` is not null and fails or has failed.
#[inline(always)]
pub(crate) fn has_failed(fiber: *const Header) -> bool {
    // SAFETY: headers stay readable for good.
    unsafe { fiber.as_ref() }.is_some_and(|header| header.state.is_failed())
}
