//! The names of what the kernel itself records.

use core::fmt;

/// The name of something that the kernel records: a moment, or a span of time.
///
/// ```
/// use kfiber::trace::Label;
///
/// static RECEIVED: Label = Label::new("packet received");
/// static CHECKSUM: Label = Label::new("checksum");
///
/// RECEIVED.mark(1500);
/// let span = CHECKSUM.span();
/// // … what takes the time …
/// drop(span);
/// ```
///
/// Without the feature `trace` nothing is recorded, and a mark compiles to no instruction.
#[repr(align(8))]
pub struct Label {
    name: &'static str,
}

impl Label {
    /// Returns a label with this name.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name }
    }

    /// Returns the name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Label").field(&self.name).finish()
    }
}
