//! The ring of one core: how an event is written, and how it is read.

use super::event::{Detail, Event, Kind, SLOT_BYTES, Slot, word};
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering, compiler_fence, fence};

/// The head of a ring, which its slots follow.
#[repr(C, align(64))]
pub(crate) struct Ring {
    /// The bytes of all slots that were ever reserved.
    head: AtomicU64,
    /// The bytes of the slots, less one slot.
    mask: u64,
    /// The time-stamp counter, and the clock in nanoseconds, when the recorder was started.
    pub(crate) start: [AtomicU64; 2],
    /// The address of the scheduler's own context on this core.
    pub(crate) root: AtomicU64,
    /// The list of all fibers, whose type is not known here.
    pub(crate) fibers: AtomicPtr<()>,
    /// The first of the rings to which this one belongs, their number, and the distance.
    pub(super) first: AtomicPtr<Self>,
    pub(super) count: AtomicUsize,
}

/// Where the slots begin.
const SLOTS_AT: usize = size_of::<Ring>();
const _: () = assert!(SLOTS_AT == 64);

/// A ring with its slots.
#[repr(C)]
pub(crate) struct RingOf<const EVENTS: usize> {
    ring: Ring,
    slots: [Slot; EVENTS],
}

impl<const EVENTS: usize> RingOf<EVENTS> {
    pub(crate) const fn new() -> Self {
        const {
            assert!(
                EVENTS.is_power_of_two() && EVENTS <= 1 << 24,
                "a ring has a power of two of events, and at most 2^24"
            );
        }
        Self {
            ring: Ring {
                head: AtomicU64::new(0),
                mask: ((EVENTS - 1) * SLOT_BYTES) as u64,
                start: [const { AtomicU64::new(0) }; 2],
                root: AtomicU64::new(0),
                fibers: AtomicPtr::new(ptr::null_mut()),
                first: AtomicPtr::new(ptr::null_mut()),
                count: AtomicUsize::new(0),
            },
            slots: [Slot::NEW; EVENTS],
        }
    }

    /// Returns the head as a pointer that is valid for the slots too (**TR2**).
    pub(crate) const fn head(&self) -> *const Ring {
        ptr::from_ref(self).cast()
    }
}

/// The writer. Its functions are the whole cost of an event.
impl Ring {
    /// The distance of two positions.
    pub(crate) const STEP: u64 = SLOT_BYTES as u64;

    /// Reserves a slot, and returns its position: the bytes of all slots before it.
    #[inline(always)]
    fn reserve(&self) -> u64 {
        // On a host two threads may share a ring, and Miri knows no assembly.
        #[cfg(any(target_os = "linux", miri))]
        return self.head.fetch_add(Self::STEP, Ordering::Relaxed);
        #[cfg(not(any(target_os = "linux", miri)))]
        {
            let mut at = Self::STEP;
            // SAFETY: it adds to the head, and returns what was there. No other core does so, and an
            // instruction is not interrupted in the middle.
            unsafe {
                core::arch::asm!(
                    "xadd [{head}], {at}",
                    head = in(reg) self.head.as_ptr(),
                    at = inout(reg) at,
                    options(nostack)
                );
            }
            at
        }
    }

    /// Returns the slot of a position.
    ///
    /// # Safety
    ///
    /// **TR2**: the pointer is valid for the slots.
    #[inline(always)]
    unsafe fn slot<'a>(ring: *const Self, at: u64) -> &'a Slot {
        // SAFETY: TR2.
        let offset = (at & unsafe { (*ring).mask }) as usize;
        let slot: *const Slot = ring.wrapping_byte_add(SLOTS_AT + offset).cast();
        // SAFETY: the mask keeps it within the ring.
        unsafe { &*slot }
    }

    /// Writes an event. `high` is false for one whose time needs the low half only.
    ///
    /// # Safety
    ///
    /// **TR2**: the ring is a static, and the pointer is valid for the slots.
    #[inline(always)]
    pub(crate) unsafe fn write(
        ring: *const Self,
        subject: Option<u64>,
        detail: Option<*const ()>,
        kind: u32,
        high: bool,
    ) {
        // SAFETY: TR2.
        let at = unsafe { (*ring).reserve() };
        // SAFETY: TR2.
        let slot = unsafe { Self::slot(ring, at) };
        let (time_low, time_high) = read_counter();
        slot.time_low.store(time_low, Ordering::Relaxed);
        // The time is stored first, and the check last: see `read`.
        compiler_fence(Ordering::AcqRel);
        if high {
            slot.time_high.store(time_high, Ordering::Relaxed);
        }
        if let Some(subject) = subject {
            slot.subject.store(subject, Ordering::Relaxed);
        }
        if let Some(detail) = detail {
            slot.detail.store(detail.cast_mut(), Ordering::Relaxed);
        }
        slot.kind.store(kind, Ordering::Relaxed);
        slot.check.store(at as u32 ^ time_low, Ordering::Release);
    }
}

/// Reads the time-stamp counter, in two halves.
#[inline(always)]
fn read_counter() -> (u32, u32) {
    #[cfg(miri)]
    {
        // A clock that advances whenever it is read.
        static TIME: AtomicU64 = AtomicU64::new(1000);
        let time = TIME.fetch_add(1, Ordering::Relaxed);
        (time as u32, (time >> 32) as u32)
    }
    #[cfg(not(miri))]
    {
        let (low, high);
        // SAFETY: it reads a register that every x86_64 processor has. It is not marked `nomem`, so
        // the compiler keeps its place among the stores.
        unsafe {
            core::arch::asm!("rdtsc", out("eax") low, out("edx") high, options(nostack, preserves_flags));
        }
        (low, high)
    }
}

/// Returns the time-stamp counter.
pub(crate) fn counter() -> u64 {
    let (low, high) = read_counter();
    u64::from(high) << 32 | u64::from(low)
}

/// The reader, which may be on another core, or may have interrupted the writer.
impl Ring {
    /// Returns the bytes of the ring with its slots.
    pub(super) const fn whole_bytes(&self) -> usize {
        SLOTS_AT + self.mask as usize + SLOT_BYTES
    }

    /// Returns the position behind the newest event.
    pub(crate) fn end(&self) -> u64 {
        self.head.load(Ordering::Acquire)
    }

    /// Returns the number of events that were ever recorded.
    pub(crate) fn recorded(&self) -> u64 {
        self.end() / Self::STEP
    }

    /// Returns the position of the oldest event that can still be there.
    pub(crate) fn oldest(&self) -> u64 {
        self.end().saturating_sub(self.mask + Self::STEP)
    }

    /// Reads the event of a position. Returns `None` if it is being written, was overwritten, or
    /// will never be complete.
    ///
    /// A slot can be written by two at once: a handler that interrupted the writer of an event
    /// records as many events as the ring has. When the first writer continues, its first store
    /// changes the time, so the check is wrong from then on.
    ///
    /// # Safety
    ///
    /// **TR2**.
    pub(crate) unsafe fn read(ring: *const Self, at: u64) -> Option<Event> {
        // SAFETY: TR2.
        let slot = unsafe { Self::slot(ring, at) };
        // SAFETY: TR2.
        let this = unsafe { &*ring };
        let check = slot.check.load(Ordering::Acquire);
        let low = slot.time_low.load(Ordering::Relaxed);
        let high = slot.time_high.load(Ordering::Relaxed);
        let subject = slot.subject.load(Ordering::Relaxed);
        let detail = slot.detail.load(Ordering::Relaxed);
        let kind = slot.kind.load(Ordering::Relaxed);
        fence(Ordering::Acquire);
        let is_whole = slot.time_low.load(Ordering::Relaxed) == low
            && slot.check.load(Ordering::Relaxed) == check
            && check ^ low == at as u32;
        let end = this.end();
        if !is_whole || at >= end || end - at > this.mask + SLOT_BYTES as u64 {
            return None;
        }
        let time = u64::from(high) << 32 | u64::from(low);
        // SAFETY: TR1: the word was stored in one piece.
        let mut event = unsafe { Event::of(time, subject, detail, kind) }?;
        if event.kind == Kind::Wait {
            event.time &= u64::from(u32::MAX);
        }
        Some(event)
    }

    /// Behaves like [`read`](Self::read), and completes the time of a wait by that of the event
    /// behind it, which is the switch to the next fiber.
    ///
    /// # Safety
    ///
    /// **TR2**.
    pub(crate) unsafe fn read_timed(ring: *const Self, at: u64) -> Option<Event> {
        // SAFETY: TR2.
        let mut event = unsafe { Self::read(ring, at) }?;
        if event.kind == Kind::Wait {
            let near = [at.wrapping_add(Self::STEP), at.wrapping_sub(Self::STEP)]
                .into_iter()
                // SAFETY: TR2.
                .find_map(|near| unsafe { Self::read(ring, near) }.filter(|it| it.kind != Kind::Wait))
                .map_or_else(counter, |near| near.time);
            event.time = nearest(near, event.time as u32);
        }
        Some(event)
    }
}

/// Returns the time with this low half that is nearest to another time.
fn nearest(to: u64, low: u32) -> u64 {
    let ahead = low.wrapping_sub(to as u32).cast_signed();
    to.wrapping_add_signed(ahead.into())
}

/// Writes an event with a subject into the ring of this core.
#[inline(always)]
pub(crate) fn record(kind: Kind, subject: u64) {
    // SAFETY: TR2.
    unsafe { Ring::write(super::here::ring(), Some(subject), None, word(kind, 0, 0), true) };
}

/// Writes an event with a subject, a detail and some bits into the ring of this core.
#[inline(always)]
pub(crate) fn record_all(kind: Kind, reason: u8, extra: u16, subject: u64, detail: Detail) {
    let kind = word(kind, reason, extra);
    // SAFETY: TR2.
    unsafe { Ring::write(super::here::ring(), Some(subject), Some(detail.word()), kind, true) };
}

/// Writes a wait. Its time has the low half only, because the switch follows at once.
#[inline(always)]
pub(crate) fn record_wait(reason: u8, object: u64, place: Detail) {
    let kind = word(Kind::Wait, reason, 0);
    // SAFETY: TR2.
    unsafe { Ring::write(super::here::ring(), Some(object), Some(place.word()), kind, false) };
}
