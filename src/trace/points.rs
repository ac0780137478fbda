//! The places where the scheduler records something: one call each. Without the feature `trace`
//! these functions are empty.

#![cfg_attr(
    not(feature = "trace"),
    expect(
        clippy::missing_const_for_fn,
        reason = "with the recorder it writes an event"
    )
)]

#[cfg(feature = "trace")]
use super::event::{Detail, Kind, short_code};
#[cfg(feature = "trace")]
use super::record::{record, record_all, record_constant, record_wait};
use core::panic::Location;

/// Defines functions that are empty without the feature.
macro_rules! points {
    ($($(#[$attribute:meta])* fn $name:ident $(<$t:ident>)? ($($argument:ident: $type:ty),*) $body:block)*) => {$(
        $(#[$attribute])*
        #[inline(always)]
        pub(crate) fn $name $(<$t>)? ($($argument: $type),*) {
            #[cfg(feature = "trace")]
            $body
            #[cfg(not(feature = "trace"))]
            let _nothing = ($($argument,)*);
        }
    )*};
}

points! {
    /// The fiber runs next.
    fn switch<T>(next: *const T) {
        record::<{ short_code(Kind::Switch) }>(next.addr() as u64);
    }

    /// The fiber was made ready by code of its loop's core.
    fn ready<T>(fiber: *const T) {
        record::<{ short_code(Kind::Ready) }>(fiber.addr() as u64);
    }

    /// The fiber was made ready by anybody else.
    fn posted<T>(fiber: *const T) {
        record::<{ short_code(Kind::Posted) }>(fiber.addr() as u64);
    }

    /// The running fiber waits, for a reason that is a `WaitReason` as a number.
    fn wait(reason: u8, object: *const (), place: &'static Location<'static>) {
        record_wait(reason, object.addr() as u64, Detail::Place(place));
    }

    /// The running fiber sleeps until this time.
    fn sleep(deadline: u64) {
        record::<{ short_code(Kind::Sleep) }>(deadline);
    }

    /// A timer interrupt has asked for a look at the sleep queue.
    fn timer() {
        record_constant(Kind::Timer, 0);
    }

    /// The running fiber has ended.
    fn end<T>(fiber: *const T) {
        record::<{ short_code(Kind::End) }>(fiber.addr() as u64);
    }

    /// The running fiber has failed.
    fn failure<T>(fiber: *const T) {
        record::<{ short_code(Kind::Failure) }>(fiber.addr() as u64);
    }

    /// A fiber begins.
    fn spawn<T>(fiber: *const T, generation: u32, name: &str) {
        spawned(fiber.addr() as u64, generation, name);
    }
}

/// The fiber goes to another core.
#[cfg(feature = "smp")]
#[inline(always)]
pub(crate) fn moves<T>(fiber: *const T, core: usize) {
    #[cfg(feature = "trace")]
    record_all(
        Kind::Move,
        u8::try_from(core).unwrap_or(u8::MAX),
        fiber.addr() as u64,
        Detail::Nothing,
    );
    #[cfg(not(feature = "trace"))]
    let _nothing = (fiber, core);
}

/// The bytes of a name in one event.
#[cfg(feature = "trace")]
const NAME_BYTES: usize = 7;
/// The number of events that a name has at most.
#[cfg(feature = "trace")]
const NAME_EVENTS: usize = 4;

/// Records the generation, and up to 28 bytes of the name. The name is copied, because it may be
/// looked up after the cell has another fiber.
#[cfg(feature = "trace")]
#[cold]
#[inline(never)]
fn spawned(fiber: u64, generation: u32, name: &str) {
    record_all(Kind::Spawn, 0, fiber, Detail::Number(generation.into()));
    let parts = name.as_bytes().chunks(NAME_BYTES).take(NAME_EVENTS);
    for (index, part) in (0_u8..).zip(parts) {
        let mut bytes = [0; 8];
        bytes[..part.len()].copy_from_slice(part);
        let number = Detail::Number(u64::from_le_bytes(bytes));
        record_all(Kind::Name, index, fiber, number);
    }
}

/// Returns whether `interrupt_entry!` records an interrupt with this
/// vector. Without the feature `trace` it is none.
///
/// Exceptions are not recorded: those of a fiber that fails are seen as its failure. With several
/// cores the ring is found through GS, which the handler of an exception that can come at any
/// instruction must not use. An entry without a vector could be such a one.
///
/// # Context
///
/// Callable from: anywhere. Blocks: nothing.
#[must_use]
pub const fn is_traced(vector: u64) -> bool {
    cfg!(feature = "trace") && vector >= 32 && (vector < 256 || !cfg!(feature = "smp"))
}

/// Records that an interrupt begins.
///
/// Entries that `interrupt_entry!` has made do so themselves, for the
/// vectors that [are traced](is_traced). A handler of another kind, such as an `extern
/// "x86-interrupt" fn`, calls this first, and [`interrupt_out`] last.
///
/// # Context
///
/// Callable from: interrupt. Wait-free. Blocks: nothing.
#[inline(always)]
pub fn interrupt_in(vector: u64) {
    #[cfg(feature = "trace")]
    record_constant(Kind::InterruptIn, vector);
    #[cfg(not(feature = "trace"))]
    let _nothing = vector;
}

/// Records that the innermost interrupt ends. See [`interrupt_in`].
///
/// # Context
///
/// As [`interrupt_in`].
#[inline(always)]
pub fn interrupt_out() {
    #[cfg(feature = "trace")]
    record_constant(Kind::InterruptOut, 0);
}
