//! Records an event in the ring of this core.

use super::event::{Detail, Kind, code};
use super::here;
use super::label::Label;
use super::ring::Ring;

/// Writes an event with a subject into the ring of this core. `CODE` is the code of its kind.
#[inline(always)]
pub(crate) fn record<const CODE: i32>(subject: u64) {
    // SAFETY: TR2.
    unsafe { Ring::write_short::<CODE>(here::ring(), subject) };
}

/// Writes an event whose subject the compiler knows into the ring of this core.
#[inline(always)]
pub(crate) fn record_constant(kind: Kind, subject: u64) {
    let code = code(kind, 0);
    // SAFETY: TR2.
    unsafe { Ring::write_constant(here::ring(), subject, code.into()) };
}

/// Writes an event with a subject, a detail and an extra number into the ring of this core.
#[inline(always)]
pub(crate) fn record_all(kind: Kind, extra: u8, subject: u64, detail: Detail) {
    let (detail, code) = (detail.word(), code(kind, extra));
    // SAFETY: TR2.
    unsafe { Ring::write_full(here::ring(), subject, detail, code.into()) };
}

/// Writes a wait.
#[inline(always)]
pub(crate) fn record_wait(reason: u8, object: u64, place: Detail) {
    let (place, code) = (place.word(), code(Kind::Wait, reason));
    // SAFETY: TR2.
    unsafe { Ring::write_untimed(here::ring(), object, place, code.into()) };
}

/// Writes a mark, or an end of a span.
#[inline(always)]
pub(super) fn labelled(kind: Kind, label: &'static Label, value: u64) {
    record_all(kind, 0, value, Detail::Label(label));
}
