//! The format of an export: a magic number, then sections, each with a tag. All numbers are
//! little-endian.
//!
//! ```text
//!   "KFTRACE1"
//!   C  core u32, root u64, ticks and nanoseconds at the start u64 × 2, the same now, recorded u64
//!   R  number u8, name                                   what fibers wait for
//!   F  address u64, generation u32, core u32, name       the fibers that the cells have now
//!   P  address u64, line u32, column u32, file           a place in the source, before its first use
//!   L  address u64, name                                 a label, before its first use
//!   E  core u8, kind u8, extra u8, 0 u8, time u64, subject u64, detail u64
//!   Z                                                    the end
//! ```
//!
//! A name or a file is a u8 with its length, and its bytes.

use crate::scheduler::queue::all::AllFibers;
use crate::scheduler::report::last_events::fibers_of;
use crate::scheduler::run_loop::RunLoop;
use crate::scheduler::task::wait::WaitReason;
use crate::trace::event::Detail;
use crate::trace::merge::{Rings, Step};
use core::ptr;
use core::sync::atomic::Ordering;

/// How many places and labels are remembered as written. A place may be written again.
const REMEMBERED: usize = 128;

type Sink<'a, E> = &'a mut dyn FnMut(&[u8]) -> Result<(), E>;

/// Writes an export. `now` is the time in ticks and in nanoseconds.
pub(super) fn write<E>(rings: Rings, now: [u64; 2], sink: Sink<'_, E>) -> Result<(), E> {
    sink(b"KFTRACE1")?;
    for core in 0..rings.count() {
        write_core(rings, core, now, sink)?;
    }
    for (number, reason) in (0_u8..).zip(WaitReason::ALL) {
        sink(&[b'R', number])?;
        text(reason.name(), sink)?;
    }
    if let Some(fibers) = fibers_of(rings) {
        write_fibers(fibers, sink)?;
    }
    let mut written = [ptr::null(); REMEMBERED];
    for step in rings.steps() {
        write_step(&step, &mut written, sink)?;
    }
    sink(b"Z")
}

fn write_core<E>(rings: Rings, core: usize, now: [u64; 2], sink: Sink<'_, E>) -> Result<(), E> {
    // SAFETY: TR2.
    let ring = unsafe { &*rings.ring(core) };
    sink(b"C")?;
    sink(&short(core).to_le_bytes())?;
    let [ticks, nanoseconds] = ring.start.each_ref().map(|it| it.load(Ordering::Relaxed));
    let recorded = ring.recorded();
    let root = ring.root.load(Ordering::Relaxed);
    for word in [root, ticks, nanoseconds, now[0], now[1], recorded] {
        sink(&word.to_le_bytes())?;
    }
    Ok(())
}

/// Returns the number of a core in four bytes.
fn short(core: usize) -> u32 {
    u32::try_from(core).expect("there are at most 31 cores")
}

fn write_fibers<E>(fibers: &AllFibers, sink: Sink<'_, E>) -> Result<(), E> {
    for (header, is_damaged) in fibers.iter_warily() {
        if is_damaged {
            break;
        }
        // SAFETY: a header in the list has had a fiber, so it has a loop.
        let core = unsafe { RunLoop::of(header) }.core();
        sink(b"F")?;
        sink(&(ptr::from_ref(header).addr() as u64).to_le_bytes())?;
        sink(&header.state.generation().to_le_bytes())?;
        sink(&short(core.0).to_le_bytes())?;
        text(header.name(), sink)?;
    }
    Ok(())
}

fn write_step<E>(
    step: &Step,
    written: &mut [*const (); REMEMBERED],
    sink: Sink<'_, E>,
) -> Result<(), E> {
    let event = &step.event;
    let detail = match event.detail {
        Detail::Nothing => 0,
        Detail::Number(number) => number,
        Detail::Place(place) => {
            let address = ptr::from_ref(place).cast();
            if is_new(written, address) {
                sink(b"P")?;
                sink(&(address.addr() as u64).to_le_bytes())?;
                sink(&place.line().to_le_bytes())?;
                sink(&place.column().to_le_bytes())?;
                text(place.file(), sink)?;
            }
            address.addr() as u64
        }
        Detail::Label(label) => {
            let address = ptr::from_ref(label).cast();
            if is_new(written, address) {
                sink(b"L")?;
                sink(&(address.addr() as u64).to_le_bytes())?;
                text(label.name(), sink)?;
            }
            address.addr() as u64
        }
    };
    let core = u8::try_from(step.core).expect("there are at most 31 cores");
    sink(&[b'E', core, event.kind as u8, event.extra, 0])?;
    for word in [event.time, event.subject, detail] {
        sink(&word.to_le_bytes())?;
    }
    Ok(())
}

/// Returns whether an address is not remembered, and remembers it.
fn is_new(written: &mut [*const (); REMEMBERED], address: *const ()) -> bool {
    let slot = &mut written[address.addr() / 8 % REMEMBERED];
    let is_new = !ptr::eq(*slot, address);
    *slot = address;
    is_new
}

/// Writes a text, of which at most the last 255 bytes are kept: they say more of a path.
fn text<E>(text: &str, sink: Sink<'_, E>) -> Result<(), E> {
    let bytes = text.as_bytes();
    let kept = &bytes[bytes.len().saturating_sub(u8::MAX.into())..];
    sink(&[u8::try_from(kept.len()).unwrap_or(u8::MAX)])?;
    sink(kept)
}
