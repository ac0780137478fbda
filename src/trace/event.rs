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
    /// It has no time of its own: the switch follows at once.
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

    /// Returns which words the events of this kind have.
    const fn form(self) -> Form {
        match self {
            Self::Wait => Form::Untimed,
            Self::Spawn
            | Self::Name
            | Self::Move
            | Self::Mark
            | Self::SpanBegin
            | Self::SpanEnd => Form::Full,
            _ => Form::Short,
        }
    }
}

/// Which words an event has besides its check. The others in the slot are old ones. The high half of
/// the time says which form it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Time and subject.
    Short,
    /// Time, subject and detail.
    Full,
    /// Subject and detail.
    Untimed,
}

/// The bit of the high half of the time that says that there is a detail.
pub(super) const HAS_DETAIL: u32 = 1 << 31;
/// The high half of the time of an event without a time.
pub(super) const UNTIMED: u32 = u32::MAX;

/// The distance between the codes of two kinds, and of two extra numbers. They are odd and no
/// numbers that occur, so that a sum with a word of another event is hardly ever another code:
/// addresses and what a kernel records differ by small numbers, or by powers of two.
const KIND_STEP: u32 = 0x04c1_1db7;
const EXTRA_STEP: u32 = 0x2f9d;
/// The largest extra number: of a core, of a reason to wait, of a part of a name.
const MOST_EXTRA: u8 = 31;

/// Returns the code of a kind with an extra number, which the check of a slot contains.
pub(crate) const fn code(kind: Kind, extra: u8) -> u32 {
    kind as u32 * KIND_STEP + extra as u32 * EXTRA_STEP
}

/// Returns the code of a kind as an instruction may contain it.
pub(crate) const fn short_code(kind: Kind) -> i32 {
    let code = code(kind, 0).cast_signed();
    assert!(code > 0, "the instruction would extend its sign");
    code
}

/// Returns the kind and the extra number of a code.
fn decode(code: u64) -> Option<(Kind, u8)> {
    let code = u32::try_from(code).ok()?;
    let kind = Kind::of(u8::try_from(code / KIND_STEP).ok()?)?;
    let rest = code % KIND_STEP;
    let extra = u8::try_from(rest / EXTRA_STEP).ok()?;
    (rest.is_multiple_of(EXTRA_STEP) && extra <= MOST_EXTRA).then_some((kind, extra))
}

/// A slot of a ring. All zeros is a slot that was never written.
#[repr(C, align(32))]
pub(crate) struct Slot {
    pub(super) time_low: AtomicU32,
    pub(super) time_high: AtomicU32,
    pub(super) subject: AtomicU64,
    pub(super) detail: AtomicPtr<()>,
    /// The sum of the position in the ring, the low half of the time, the other words that the
    /// event has, and the code of its kind.
    pub(super) check: AtomicU64,
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
        check: AtomicU64::new(0),
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
            Self::Number(number) => {
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "pointers have 64 bits here"
                )]
                let number = (number << 2) as usize;
                ptr::without_provenance(number | IS_NUMBER)
            }
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
    /// The time-stamp counter. A wait has none until the ring has completed it.
    pub(crate) time: u64,
    pub(crate) subject: u64,
    pub(crate) detail: Detail,
    pub(crate) kind: Kind,
    /// A number whose meaning the kind says.
    pub(crate) extra: u8,
}

impl Event {
    /// Takes the words of a slot apart. Returns `None` if they are not those of one event at this
    /// position.
    ///
    /// The check, less the position and the words, leaves a code. If one of the words belongs to
    /// another event, it leaves another number, which is a code of this form only by chance: there
    /// are some hundred among 2^64.
    ///
    /// # Safety
    ///
    /// The detail is a word that [`Detail::word`] returned.
    pub(super) unsafe fn of(
        at: u64,
        [low, high]: [u32; 2],
        subject: u64,
        detail: *const (),
        check: u64,
    ) -> Option<Self> {
        let form = match high {
            UNTIMED => Form::Untimed,
            _ if high & HAS_DETAIL != 0 => Form::Full,
            _ => Form::Short,
        };
        let mut code = check.wrapping_sub(at).wrapping_sub(subject);
        if form != Form::Untimed {
            code = code.wrapping_sub(low.into());
        }
        if form != Form::Short {
            code = code.wrapping_sub(detail.addr() as u64);
        }
        let (kind, extra) = decode(code).filter(|(kind, _)| kind.form() == form)?;
        let detail = match form {
            Form::Short => Detail::Nothing,
            // SAFETY: the caller's promise.
            Form::Full | Form::Untimed => unsafe { Detail::of(detail) },
        };
        Some(Self {
            time: u64::from(high & !HAS_DETAIL) << 32 | u64::from(low),
            subject,
            detail,
            kind,
            extra,
        })
    }
}
