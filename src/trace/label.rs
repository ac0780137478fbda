//! Marks and spans of the kernel's own.

use core::fmt;
use core::marker::PhantomData;

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

    /// Records that something happened at this moment, with a number that the kernel chooses.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, exception handler, scheduler, any core. Wait-free. Blocks:
    /// nothing.
    #[inline(always)]
    pub fn mark(&'static self, value: u64) {
        #[cfg(feature = "trace")]
        super::points::labelled(super::event::Kind::Mark, self, value);
        #[cfg(not(feature = "trace"))]
        let _nothing = value;
    }

    /// Records that something begins, and that it ends when the span is dropped. Spans of one fiber
    /// or of one interrupt handler lie within each other.
    ///
    /// The fiber may wait meanwhile, and may move to another core.
    ///
    /// # Context
    ///
    /// As [`mark`](Self::mark).
    #[inline(always)]
    #[must_use = "the span ends when this is dropped"]
    pub fn span(&'static self) -> Span {
        #[cfg(feature = "trace")]
        super::points::labelled(super::event::Kind::SpanBegin, self, 0);
        Span {
            label: self,
            of_one_fiber: PhantomData,
        }
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Label").field(&self.name).finish()
    }
}

/// A span of time, which ends when this is dropped. It stays in the fiber that began it.
#[derive(Debug)]
pub struct Span {
    label: &'static Label,
    of_one_fiber: PhantomData<*const ()>,
}

impl Drop for Span {
    #[inline(always)]
    fn drop(&mut self) {
        #[cfg(feature = "trace")]
        super::points::labelled(super::event::Kind::SpanEnd, self.label, 0);
        #[cfg(not(feature = "trace"))]
        let _nothing = self.label;
    }
}
