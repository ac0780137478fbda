//! Looks into formatted text without a heap: whether it contains something, and all of it on one line.

use core::fmt::{self, Write};

/// Returns whether the formatted text contains `needle`. The text arrives in pieces and there is no heap, so the last
/// bytes of what came before are kept.
pub(crate) fn contains(text: fmt::Arguments<'_>, needle: &str) -> bool {
    let mut search = Search {
        needle: needle.as_bytes(),
        window: [0; 256],
        length: 0,
        is_found: needle.is_empty(),
    };
    assert!(
        needle.len() <= search.window.len(),
        "an expected message has at most 256 bytes"
    );
    search.write_fmt(text).is_ok() && search.is_found
}

struct Search<'a> {
    needle: &'a [u8],
    window: [u8; 256],
    length: usize,
    is_found: bool,
}

impl Write for Search<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for &byte in text.as_bytes() {
            if self.is_found {
                break;
            }
            if self.length == self.needle.len() {
                self.window.copy_within(1..self.length, 0);
                self.length -= 1;
            }
            self.window[self.length] = byte;
            self.length += 1;
            self.is_found = &self.window[..self.length] == self.needle;
        }
        Ok(())
    }
}

/// Shows a message on one line, as the protocol wants it: line breaks become `\n`, backslashes `\\`.
pub(crate) struct OneLine<T>(pub(crate) T);

impl<T: fmt::Display> fmt::Display for OneLine<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escape(f), "{}", self.0)
    }
}

struct Escape<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Write for Escape<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for (index, line) in text.split('\n').enumerate() {
            if index > 0 {
                self.0.write_str("\\n")?;
            }
            for (index, part) in line.split('\\').enumerate() {
                if index > 0 {
                    self.0.write_str("\\\\")?;
                }
                self.0.write_str(part)?;
            }
        }
        Ok(())
    }
}
