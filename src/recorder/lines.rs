//! Bytes as numbered lines of text in base 64, which survive among the other lines of a log.

use core::fmt;

/// What each line begins with; its number follows.
const PREFIX: &str = "kfiber-trace";

/// The bytes of a line: a multiple of 3, so that only the last one is padded.
const BYTES: usize = 54;

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Collects bytes, and writes a line whenever there are enough.
pub(super) struct Lines<'a> {
    writer: &'a mut dyn fmt::Write,
    bytes: [u8; BYTES],
    count: usize,
    number: u32,
}

impl<'a> Lines<'a> {
    pub(super) const fn new(writer: &'a mut dyn fmt::Write) -> Self {
        Self {
            writer,
            bytes: [0; BYTES],
            count: 0,
            number: 0,
        }
    }

    /// Writes some bytes.
    pub(super) fn write(&mut self, bytes: &[u8]) -> fmt::Result {
        for &byte in bytes {
            self.bytes[self.count] = byte;
            self.count += 1;
            if self.count == BYTES {
                self.line()?;
            }
        }
        Ok(())
    }

    /// Writes what is left, and the line that ends the export.
    pub(super) fn finish(mut self) -> fmt::Result {
        if self.count > 0 {
            self.line()?;
        }
        writeln!(self.writer, "{PREFIX} {} end", self.number)
    }

    fn line(&mut self) -> fmt::Result {
        let mut text = [b'='; BYTES / 3 * 4];
        let mut length = 0;
        for part in self.bytes[..self.count].chunks(3) {
            let mut three = [0; 4];
            three[1..=part.len()].copy_from_slice(part);
            let word = u32::from_be_bytes(three);
            for (index, digit) in text[length..length + 4].iter_mut().enumerate() {
                if index <= part.len() {
                    *digit = DIGITS[(word >> (18 - 6 * index) & 63) as usize];
                }
            }
            length += 4;
        }
        let text = str::from_utf8(&text[..length]).expect("digits are ASCII");
        writeln!(self.writer, "{PREFIX} {} {text}", self.number)?;
        self.number += 1;
        self.count = 0;
        Ok(())
    }
}
