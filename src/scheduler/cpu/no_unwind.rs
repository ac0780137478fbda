//! A stretch of code that must not be left by unwinding: the process ends instead.
//!
//! Only a host unwinds. There a hook, a clock or a check that panics would otherwise take a stack frame away that others still
//! borrow, or that stands in a queue (rule 6 of [the model](crate::model)).

use core::mem::ManuallyDrop;

/// Ends the process if it is dropped, which only unwinding does; [`done`](Self::done) ends the stretch.
pub(crate) struct NoUnwind(&'static str);

impl NoUnwind {
    /// Begins the stretch. `why` is a sentence for the person who reads the end of the process.
    #[inline(always)]
    pub(crate) const fn begin(why: &'static str) -> Self {
        Self(why)
    }

    /// Ends the stretch as it should end.
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

#[cfg(not(target_os = "none"))]
fn end(why: &str) -> ! {
    extern crate std;
    std::eprintln!("kfiber: {why}");
    std::process::abort()
}

#[cfg(target_os = "none")]
fn end(why: &str) -> ! {
    panic!("{why}")
}
