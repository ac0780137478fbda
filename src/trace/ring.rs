//! The ring of one core: how an event is written, and how it is read.

use super::event::{Event, HAS_DETAIL, Kind, SLOT_BYTES, Slot, UNTIMED};
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering, fence};

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

/// Returns a number of bytes.
#[expect(
    clippy::cast_possible_truncation,
    reason = "addresses have 64 bits here"
)]
#[inline(always)]
const fn bytes(count: u64) -> usize {
    count as usize
}

/// Returns the lower half of a word.
#[expect(clippy::cast_possible_truncation, reason = "the upper half is zero")]
#[inline(always)]
const fn half(word: u64) -> u32 {
    word as u32
}

/// Returns the bytes of a ring with its slots, of which the slots but one have `mask` bytes.
const fn whole_bytes(mask: usize) -> usize {
    (SLOTS_AT + mask + SLOT_BYTES).next_multiple_of(align_of::<Ring>())
}

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
            assert!(
                whole_bytes((EVENTS - 1) * SLOT_BYTES) == size_of::<Self>(),
                "the rings of an array are found by this distance"
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
    const unsafe fn slot<'a>(ring: *const Self, at: u64) -> &'a Slot {
        // SAFETY: TR2.
        let offset = bytes(at & unsafe { (*ring).mask });
        let slot: *const Slot = ring.wrapping_byte_add(SLOTS_AT + offset).cast();
        // SAFETY: the mask keeps it within the ring.
        unsafe { &*slot }
    }

    /// Writes an event without a detail.
    ///
    /// # Safety
    ///
    /// **TR2**: the ring is a static, and the pointer is valid for the slots.
    #[inline(always)]
    pub(super) unsafe fn write_short<const CODE: i32>(ring: *const Self, subject: u64) {
        // SAFETY: TR2.
        let at = unsafe { (*ring).reserve() };
        // SAFETY: TR2.
        let slot = unsafe { Self::slot(ring, at) };
        let (low, high) = read_counter();
        slot.time_low.store(half(low), Ordering::Relaxed);
        slot.time_high.store(half(high), Ordering::Relaxed);
        slot.subject.store(subject, Ordering::Relaxed);
        let check = sum::<CODE>(at.wrapping_add(low), subject);
        slot.check.store(check, Ordering::Release);
    }

    /// Writes an event whose subject the compiler knows.
    ///
    /// # Safety
    ///
    /// As [`write_short`](Self::write_short).
    #[inline(always)]
    pub(super) unsafe fn write_constant(ring: *const Self, subject: u64, code: u64) {
        // SAFETY: TR2.
        let at = unsafe { (*ring).reserve() };
        // SAFETY: TR2.
        let slot = unsafe { Self::slot(ring, at) };
        let (low, high) = read_counter();
        slot.time_low.store(half(low), Ordering::Relaxed);
        slot.time_high.store(half(high), Ordering::Relaxed);
        slot.subject.store(subject, Ordering::Relaxed);
        let check = at.wrapping_add(low);
        let check = check.wrapping_add(subject.wrapping_add(code));
        slot.check.store(check, Ordering::Release);
    }

    /// Writes an event with a detail.
    ///
    /// # Safety
    ///
    /// As [`write_short`](Self::write_short).
    #[inline(always)]
    pub(super) unsafe fn write_full(ring: *const Self, subject: u64, detail: *const (), code: u64) {
        // SAFETY: TR2.
        let at = unsafe { (*ring).reserve() };
        // SAFETY: TR2.
        let slot = unsafe { Self::slot(ring, at) };
        let (low, high) = read_counter();
        slot.time_low.store(half(low), Ordering::Relaxed);
        slot.time_high
            .store(half(high) | HAS_DETAIL, Ordering::Relaxed);
        slot.subject.store(subject, Ordering::Relaxed);
        slot.detail.store(detail.cast_mut(), Ordering::Relaxed);
        let check = at.wrapping_add(low).wrapping_add(subject);
        let check = check.wrapping_add(detail.addr() as u64);
        slot.check
            .store(check.wrapping_add(code), Ordering::Release);
    }

    /// Writes an event without a time.
    ///
    /// # Safety
    ///
    /// As [`write_short`](Self::write_short).
    #[inline(always)]
    pub(super) unsafe fn write_untimed(
        ring: *const Self,
        subject: u64,
        detail: *const (),
        code: u64,
    ) {
        // SAFETY: TR2.
        let at = unsafe { (*ring).reserve() };
        // SAFETY: TR2.
        let slot = unsafe { Self::slot(ring, at) };
        slot.time_high.store(UNTIMED, Ordering::Relaxed);
        slot.subject.store(subject, Ordering::Relaxed);
        slot.detail.store(detail.cast_mut(), Ordering::Relaxed);
        let check = at.wrapping_add(subject).wrapping_add(code);
        let check = check.wrapping_add(detail.addr() as u64);
        slot.check.store(check, Ordering::Release);
    }
}

/// Returns the sum of three numbers, in one instruction: the compiler prefers two.
#[inline(always)]
fn sum<const CODE: i32>(a: u64, b: u64) -> u64 {
    #[cfg(miri)]
    return a.wrapping_add(b).wrapping_add_signed(CODE.into());
    #[cfg(not(miri))]
    {
        let sum;
        // SAFETY: it computes a number.
        unsafe {
            core::arch::asm!(
                "lea {}, [{} + {} + {code}]",
                lateout(reg) sum,
                in(reg) a,
                in(reg) b,
                code = const CODE,
                options(pure, nomem, nostack, preserves_flags)
            );
        }
        sum
    }
}

/// Reads the time-stamp counter, in two halves.
#[inline(always)]
fn read_counter() -> (u64, u64) {
    #[cfg(miri)]
    {
        // A clock that advances whenever it is read.
        static TIME: AtomicU64 = AtomicU64::new(1000);
        let time = TIME.fetch_add(1, Ordering::Relaxed);
        (time & u64::from(u32::MAX), time >> 32)
    }
    #[cfg(not(miri))]
    {
        let (low, high);
        // SAFETY: it reads a register that every x86_64 processor has. It is not marked `nomem`, so
        // the compiler keeps its place among the stores. The upper halves are zero (Intel SDM,
        // volume 2B, RDTSC).
        unsafe {
            core::arch::asm!("rdtsc", out("rax") low, out("rdx") high, options(nostack, preserves_flags));
        }
        (low, high)
    }
}

/// Returns the time-stamp counter.
pub(crate) fn counter() -> u64 {
    let (low, high) = read_counter();
    high << 32 | low
}

/// The reader, which may be on another core, or may have interrupted the writer.
impl Ring {
    /// Returns the bytes of the ring with its slots: the distance of two in an array.
    pub(super) const fn whole_bytes(&self) -> usize {
        whole_bytes(bytes(self.mask))
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
    /// Two may write to one slot at once: a handler that interrupted the writer of an event records
    /// as many events as the ring has. The words are then not all of one event, and the check is
    /// wrong, whichever of them are whose.
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
        fence(Ordering::Acquire);
        let end = this.end();
        if at >= end || end - at > this.mask + Self::STEP {
            return None;
        }
        // SAFETY: TR1: the detail was stored in one piece.
        unsafe { Event::of(at, [low, high], subject, detail, check) }
    }

    /// Behaves like [`read`](Self::read), and gives a wait the time of the switch behind it.
    ///
    /// # Safety
    ///
    /// **TR2**.
    pub(crate) unsafe fn read_timed(ring: *const Self, at: u64) -> Option<Event> {
        // SAFETY: TR2.
        let mut event = unsafe { Self::read(ring, at) }?;
        if event.kind == Kind::Wait {
            let near = [at.wrapping_add(Self::STEP), at.wrapping_sub(Self::STEP)];
            event.time = near
                .into_iter()
                // SAFETY: TR2.
                .filter_map(|near| unsafe { Self::read(ring, near) })
                .find(|near| near.kind != Kind::Wait)
                .map_or_else(counter, |near| near.time);
        }
        Some(event)
    }
}
