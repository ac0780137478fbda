//! The data in a cell above the top of its stack, and directly below it.

use super::binding::Binding;
use super::header::Header;
use super::scope_count::ScopeCount;
use crate::scheduler::lock_free::joiner::JoinerPlace;
use core::cell::Cell;
use core::ptr;
#[cfg(feature = "smp")]
use core::sync::atomic::AtomicU8;

/// The part of a control block that no switch accesses.
pub(crate) struct Extra {
    pub(crate) joiner: JoinerPlace<Header>,
    /// Whether a result with a destructor is in its place.
    pub(crate) has_result: Cell<bool>,
    /// The innermost binding of a fiber local.
    pub(crate) locals: Cell<*const Binding>,
    /// The first of the mutexes that the fiber owns and that other fibers wait for: with one core
    /// those of its loop, with several those of its scheduler.
    pub(crate) wanted: Cell<*const ()>,
    /// The place of the fiber in the ring of its own level, while it is scheduled at a higher one:
    /// see [`level`](crate::scheduler::run_loop::level).
    pub(crate) place: Cell<*const Header>,
    /// The last byte of its number of turns when the fiber was in that place.
    pub(crate) place_at_turn: Cell<u8>,
    /// The scope that waits for the fiber. It is null if there is none, and in a cell that is free.
    pub(crate) scope: Cell<*const ScopeCount>,
    /// The mark of a search through the wait graph. It has no meaning between two searches.
    pub(crate) mark: Cell<u16>,
    /// What follows from waits on other cores.
    #[cfg(feature = "smp")]
    pub(crate) lending: Lending,
}

/// The part of a control block that concerns priorities between cores: see
/// [`lending`](crate::scheduler::run_loop::lending).
#[cfg(feature = "smp")]
pub(crate) struct Lending {
    /// The mutex in whose line the fiber stands, or null.
    pub(crate) waits_on: Cell<*const ()>,
    /// The next in a loop's list of fibers whose level has changed. It is null if the fiber is in no
    /// such list.
    pub(crate) next_changed: Cell<*const Header>,
    /// The level that is due to the fiber. Its loop schedules it there soon.
    pub(crate) level: AtomicU8,
    /// Makes the number of cache lines odd.
    _room: [u64; 6],
}

impl Extra {
    #[expect(
        clippy::declare_interior_mutable_const,
        reason = "each cell gets a copy of its own"
    )]
    pub(crate) const NEW: Self = Self {
        joiner: JoinerPlace::new(),
        has_result: Cell::new(false),
        locals: Cell::new(ptr::null()),
        wanted: Cell::new(ptr::null()),
        place: Cell::new(ptr::null()),
        place_at_turn: Cell::new(0),
        scope: Cell::new(ptr::null()),
        mark: Cell::new(0),
        #[cfg(feature = "smp")]
        lending: Lending {
            waits_on: Cell::new(ptr::null()),
            next_changed: Cell::new(ptr::null()),
            level: AtomicU8::new(0),
            _room: [0; 6],
        },
    };

    /// Returns this part of a fiber's control block.
    ///
    /// # Safety
    ///
    /// The header must belong to a cell. It must not be the root of a run loop.
    pub(crate) const unsafe fn of<'a>(header: *const Header) -> &'a Self {
        // SAFETY: the header is the first field of a control block, and headers are made into
        // pointers from pointers to the whole cell.
        unsafe { &(*header.cast::<Control>()).extra }
    }
}

/// The control block above the stack of a scheduled fiber: three cache lines, or five with the
/// feature `smp`.
#[repr(C, align(64))]
pub(crate) struct Control {
    pub(crate) header: Header,
    pub(crate) extra: Extra,
}

impl Control {
    #[expect(
        clippy::declare_interior_mutable_const,
        reason = "each cell gets a copy of its own"
    )]
    pub(crate) const NEW: Self = Self {
        header: Header::root(),
        extra: Extra::NEW,
    };
}

#[cfg(not(all(feature = "fp-control", target_feature = "sse")))]
const _: () = assert!(
    size_of::<Control>()
        == if cfg!(feature = "smp") {
            5 * 64
        } else {
            3 * 64
        },
    "an odd number of lines: an odd stride for neighbours"
);

/// Returns the place of the result of the fiber with this header.
pub(crate) fn result_of<T>(header: *const Header) -> *mut T {
    below(header.cast_mut())
}

/// Returns the highest place for a `B` below `a`, which is aligned.
#[inline(always)]
pub(crate) fn below<A, B>(a: *mut A) -> *mut B {
    let end: *mut u8 = a.cast();
    if align_of::<B>() <= align_of::<A>() {
        // `a` is as aligned as its type, and a size is a multiple of the alignment.
        return end.wrapping_sub(size_of::<B>()).cast();
    }
    end.wrapping_sub(size_of::<B>())
        .map_addr(|address| address & !(align_of::<B>() - 1))
        .cast()
}
