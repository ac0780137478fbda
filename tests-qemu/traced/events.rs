//! The events of an export, and the lines of a report, as tests compare them.

use core::cell::UnsafeCell;
use core::fmt::{self, Write};

/// An event of an export.
#[cfg(not(feature = "smp"))]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    pub(crate) kind: u8,
    pub(crate) time: u64,
    pub(crate) subject: u64,
    pub(crate) detail: u64,
}

/// What is recorded of a mark of the kernel.
#[cfg(not(feature = "smp"))]
pub(crate) const MARK: u8 = 13;

/// The bytes of an export, in a static, since a stack has no room for them.
#[cfg(not(feature = "smp"))]
pub(crate) struct Bytes<const N: usize>(UnsafeCell<([u8; N], usize)>);

#[cfg(not(feature = "smp"))]
// SAFETY: one core uses it, and only one function at a time: a handler that interrupts another one's use has its own.
unsafe impl<const N: usize> Sync for Bytes<N> {}

#[cfg(not(feature = "smp"))]
impl<const N: usize> Bytes<N> {
    pub(crate) const fn new() -> Self {
        Self(UnsafeCell::new(([0; N], 0)))
    }

    /// Calls `f` with each event of what `export` writes.
    ///
    /// # Panics
    ///
    /// Panics if the export is not as its format says, or is too long.
    pub(crate) fn each(
        &self,
        export: impl FnOnce(&mut dyn FnMut(&[u8]) -> Result<(), ()>) -> Result<(), ()>,
        f: impl FnMut(Event),
    ) {
        // SAFETY: see `Sync`.
        let (bytes, length) = unsafe { &mut *self.0.get() };
        *length = 0;
        export(&mut |piece| {
            let place = bytes.get_mut(*length..*length + piece.len()).ok_or(())?;
            place.copy_from_slice(piece);
            *length += piece.len();
            Ok(())
        })
        .expect("there is room for the export");
        parse(&bytes[..*length], f);
    }
}

#[cfg(not(feature = "smp"))]
fn parse(bytes: &[u8], mut f: impl FnMut(Event)) {
    let mut rest = bytes.strip_prefix(b"KFTRACE1").expect("it begins so");
    loop {
        let (tag, body) = rest.split_first().expect("the end has a tag");
        let fixed = match tag {
            b'C' => 4 + 6 * 8,
            b'R' => 1,
            b'F' => 8 + 4 + 4,
            b'P' => 8 + 4 + 4,
            b'L' => 8,
            b'E' => 4 + 3 * 8,
            b'Z' => {
                assert!(body.is_empty(), "nothing comes after the end");
                return;
            }
            other => panic!("a section with the tag {other:#x}"),
        };
        let text = match tag {
            b'C' | b'E' => 0,
            _ => 1 + usize::from(body[fixed]),
        };
        if *tag == b'E' {
            let word = |at: usize| {
                let bytes = body[at..at + 8].try_into().expect("eight bytes");
                u64::from_le_bytes(bytes)
            };
            f(Event {
                kind: body[1],
                time: word(4),
                subject: word(12),
                detail: word(20),
            });
        }
        rest = &body[fixed + text..];
    }
}

/// Text in a static.
pub(crate) struct Text<const N: usize>(UnsafeCell<([u8; N], usize)>);

// SAFETY: as above.
unsafe impl<const N: usize> Sync for Text<N> {}

impl<const N: usize> Text<N> {
    pub(crate) const fn new() -> Self {
        Self(UnsafeCell::new(([0; N], 0)))
    }

    /// Returns the text so far.
    pub(crate) fn get(&self) -> &str {
        // SAFETY: see `Sync`.
        let (bytes, length) = unsafe { &*self.0.get() };
        core::str::from_utf8(&bytes[..*length]).expect("it was text")
    }
}

impl<const N: usize> Write for &Text<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // SAFETY: see `Sync`.
        let (bytes, length) = unsafe { &mut *self.0.get() };
        let place = bytes
            .get_mut(*length..*length + text.len())
            .ok_or(fmt::Error)?;
        place.copy_from_slice(text.as_bytes());
        *length += text.len();
        Ok(())
    }
}

/// A line of a report without its time, and without addresses and places.
#[cfg(not(feature = "smp"))]
pub(crate) fn without_time(line: &str) -> &str {
    let line = line.trim_start();
    let line = line
        .split_once(' ')
        .map_or(line, |(_time, rest)| rest)
        .trim_start();
    line.split(" 0x")
        .next()
        .unwrap_or(line)
        .split(" at ")
        .next()
        .unwrap_or(line)
}
