//! A section of code that must not be left by unwinding: the process ends instead.
//!
//! Unwinding exists only on a host. A hook, a clock or a check that panics there would otherwise
//! remove a stack frame that others still borrow, or that is in a queue (rule 6 of [the
//! model](crate::model)).

use core::mem::ManuallyDrop;

/// Ends the process when it is dropped, which happens only by unwinding. [`done`](Self::done) ends
/// the section.
pub(crate) struct NoUnwind(&'static str);

impl NoUnwind {
    /// Begins the section. `why` is a sentence that is printed if the process ends.
    #[inline(always)]
    pub(crate) const fn begin(why: &'static str) -> Self {
        Self(why)
    }

    /// Ends the section normally.
    #[inline(always)]
    pub(crate) const fn done(self) {
        let _done = ManuallyDrop::new(self);
    }
}

impl Drop for NoUnwind {
    #[cold]
    #[inline(never)]
    fn drop(&mut self) {
        end(self.0)
    }
}

#[cfg(target_os = "linux")]
fn end(why: &str) -> ! {
    extern crate std;
    std::eprintln!("kfiber: {why}");
    std::process::abort()
}

#[cfg(not(target_os = "linux"))]
fn end(why: &str) -> ! {
    panic!("{why}")
}
