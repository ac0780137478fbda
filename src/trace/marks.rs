//! Marks and spans: what the kernel itself records.

#![cfg_attr(
    not(feature = "trace"),
    expect(
        clippy::missing_const_for_fn,
        reason = "with the recorder it writes an event"
    )
)]

use super::label::Label;
use core::marker::PhantomData;

impl Label {
    /// Records that something happened at this moment, with a number that the kernel chooses.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, exception handler, scheduler, any core. Wait-free. Blocks:
    /// nothing.
    #[inline(always)]
    pub fn mark(&'static self, value: u64) {
        #[cfg(feature = "trace")]
        super::record::labelled(super::event::Kind::Mark, self, value);
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
        super::record::labelled(super::event::Kind::SpanBegin, self, 0);
        Span {
            label: self,
            of_one_fiber: PhantomData,
        }
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
        super::record::labelled(super::event::Kind::SpanEnd, self.label, 0);
        #[cfg(not(feature = "trace"))]
        let _nothing = self.label;
    }
}
