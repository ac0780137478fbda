//! An event as it lies in a ring, and as it is read.

use super::label::Label;
use core::panic::Location;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64};

/// What happened. The numbers are part of the format of exports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Kind {
    /// The fiber of the subject runs next on this core.
    Switch = 1,
    /// The fiber of the subject was made ready by code of its loop's core.
    Ready = 2,
    /// The fiber of the subject was made ready by an interrupt handler or another core.
    Posted = 3,
    /// The running fiber waits for the object that is the subject, at the place that is the detail.
    /// Its time has the low half only.
    Wait = 4,
    /// The running fiber sleeps until the time that is the subject, in nanoseconds.
    Sleep = 5,
    /// The fiber of the subject moves to the core that is `extra`.
    Move = 6,
    /// An interrupt with the vector that is the subject begins.
    InterruptIn = 7,
    /// The innermost interrupt ends.
    InterruptOut = 8,
    /// The fiber of the subject begins, with the generation that is the detail.
    Spawn = 9,
    /// Some bytes of the name of the fiber of the subject.
    Name = 10,
    /// The fiber of the subject, which runs, has ended.
    End = 11,
    /// The fiber of the subject, which runs, has failed.
    Failure = 12,
    /// A mark of the kernel.
    Mark = 13,
    /// A span of the kernel begins.
    SpanBegin = 14,
    /// A span of the kernel ends.
    SpanEnd = 15,
    /// The timer's interrupt has asked for a look at the sleep queue.
    Timer = 16,
}

impl Kind {
    const fn of(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Switch,
            2 => Self::Ready,
            3 => Self::Posted,
            4 => Self::Wait,
            5 => Self::Sleep,
            6 => Self::Move,
            7 => Self::InterruptIn,
            8 => Self::InterruptOut,
            9 => Self::Spawn,
            10 => Self::Name,
            11 => Self::End,
            12 => Self::Failure,
            13 => Self::Mark,
            14 => Self::SpanBegin,
            15 => Self::SpanEnd,
            16 => Self::Timer,
            _ => return None,
        })
    }

    /// Returns whether the event has a detail. Otherwise the word in the slot is an old one.
    const fn has_detail(self) -> bool {
        matches!(
            self,
            Self::Wait
                | Self::Spawn
                | Self::Name
                | Self::Mark
                | Self::SpanBegin
                | Self::SpanEnd
        )
    }
}

/// The word of kind, reason and extra, as it lies in a slot.
pub(crate) const fn word(kind: Kind, reason: u8, extra: u16) -> u32 {
    kind as u32 | (reason as u32) << 8 | (extra as u32) << 16
}

/// A slot of a ring. All zeros is a slot that was never written.
#[repr(C, align(32))]
pub(crate) struct Slot {
    pub(super) time_low: AtomicU32,
    pub(super) time_high: AtomicU32,
    pub(super) subject: AtomicU64,
    pub(super) detail: AtomicPtr<()>,
    pub(super) kind: AtomicU32,
    pub(super) check: AtomicU32,
}

/// The size of a slot.
pub(crate) const SLOT_BYTES: usize = 32;
const _: () = assert!(size_of::<Slot>() == SLOT_BYTES);

impl Slot {
    #[expect(
        clippy::declare_interior_mutable_const,
        reason = "each slot gets a copy of its own"
    )]
    pub(super) const NEW: Self = Self {
        time_low: AtomicU32::new(0),
        time_high: AtomicU32::new(0),
        subject: AtomicU64::new(0),
        detail: AtomicPtr::new(ptr::null_mut()),
        kind: AtomicU32::new(0),
        check: AtomicU32::new(0),
    };
}

/// The bits of a detail that say what it is.
const TAG: usize = 3;
const IS_LABEL: usize = 1;
const IS_NUMBER: usize = 2;

const _: () = assert!(align_of::<Location<'static>>() > TAG && align_of::<Label>() > TAG);

/// The detail of an event (**TR1**).
#[derive(Clone, Copy)]
pub(crate) enum Detail {
    Nothing,
    Place(&'static Location<'static>),
    Label(&'static Label),
    /// A number of 62 bits.
    Number(u64),
}

impl Detail {
    /// Returns the word that lies in a slot.
    #[inline(always)]
    pub(crate) fn word(self) -> *const () {
        match self {
            Self::Nothing => ptr::null(),
            Self::Place(place) => ptr::from_ref(place).cast(),
            Self::Label(label) => {
                let label: *const () = ptr::from_ref(label).cast();
                label.map_addr(|address| address | IS_LABEL)
            }
            Self::Number(number) => ptr::without_provenance((number << 2) as usize | IS_NUMBER),
        }
    }

    /// Returns the detail of a word.
    ///
    /// # Safety
    ///
    /// [`word`](Self::word) returned it.
    pub(super) unsafe fn of(word: *const ()) -> Self {
        match word.addr() & TAG {
            IS_NUMBER => Self::Number(word.addr() as u64 >> 2),
            IS_LABEL => {
                let label: *const Label = word.map_addr(|address| address & !TAG).cast();
                // SAFETY: the caller's promise: it is the address of a static.
                Self::Label(unsafe { &*label })
            }
            _ => {
                let place: *const Location<'static> = word.cast();
                // SAFETY: the caller's promise: it is null, or the address of a static.
                unsafe { place.as_ref() }.map_or(Self::Nothing, Self::Place)
            }
        }
    }
}

/// An event that was read.
#[derive(Clone, Copy)]
pub(crate) struct Event {
    /// The time-stamp counter. For [`Kind::Wait`], its low half until the ring has completed it.
    pub(crate) time: u64,
    pub(crate) subject: u64,
    pub(crate) detail: Detail,
    pub(crate) kind: Kind,
    pub(crate) reason: u8,
    pub(crate) extra: u16,
}

impl Event {
    /// Takes the words of a slot apart. Returns `None` if no such event exists.
    ///
    /// # Safety
    ///
    /// The detail is a word that [`Detail::word`] returned.
    pub(super) unsafe fn of(time: u64, subject: u64, detail: *const (), word: u32) -> Option<Self> {
        let [kind, reason, low, high] = word.to_le_bytes();
        let kind = Kind::of(kind)?;
        let detail = if kind.has_detail() {
            // SAFETY: the caller's promise.
            unsafe { Detail::of(detail) }
        } else {
            Detail::Nothing
        };
        Some(Self {
            time,
            subject,
            detail,
            kind,
            reason,
            extra: u16::from_le_bytes([low, high]),
        })
    }
}
