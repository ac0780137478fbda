//! On a host: which scheduled fiber made a thing that must stay with it.
//!
//! The types keep such a thing from crossing to another fiber, with one gap: safe code on a host can put it into a
//! `std::thread_local`, which all fibers of a thread share. So there its use is checked (rule 5 of [the model](crate::model)). The
//! bare machine has no thread locals in stable Rust, and no check; with threads for fibers each fiber has its own.

#[cfg(not(any(target_os = "none", miri, kfiber_threads)))]
pub(crate) use checked::MadeBy;
#[cfg(any(target_os = "none", miri, kfiber_threads))]
pub(crate) use unchecked::MadeBy;

#[cfg(not(any(target_os = "none", miri, kfiber_threads)))]
mod checked {
    use crate::scheduler::cpu::current;
    use crate::scheduler::graph::wait_graph_text::Who;
    use crate::scheduler::task::header::Header;
    use crate::scheduler::task::id::FiberId;
    use core::fmt;
    use core::ptr;

    /// A scheduled fiber, or the thread outside of all fibers.
    #[derive(Clone, Copy)]
    pub(crate) struct MadeBy {
        /// Null outside of fibers.
        header: *const Header,
        generation: u32,
    }

    impl MadeBy {
        /// The fiber that runs now.
        #[inline(always)]
        pub(crate) fn current() -> Self {
            let header = current::get();
            // SAFETY: null, or it runs.
            let running = unsafe { header.as_ref() };
            Self {
                header,
                generation: running.map_or(0, |running| running.state.generation()),
            }
        }

        /// Whether that fiber runs now.
        #[inline(always)]
        pub(crate) fn is_current(self) -> bool {
            let running = current::get();
            // SAFETY: it is not null, so it runs.
            let generation = || unsafe { (*running).state.generation() };
            ptr::eq(running, self.header) && (running.is_null() || generation() == self.generation)
        }
    }

    impl fmt::Display for MadeBy {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            // SAFETY: headers stay readable for good.
            let Some(header) = (unsafe { self.header.as_ref() }) else {
                return f.write_str("code outside of all fibers");
            };
            let is_there = header.state.generation() == self.generation;
            let name = if is_there { header.name() } else { "" };
            // SAFETY: as above.
            let id = unsafe { FiberId::new(self.header, self.generation) };
            Who(id, name).fmt(f)
        }
    }
}

#[cfg(any(target_os = "none", miri, kfiber_threads))]
mod unchecked {
    use core::fmt;

    /// Nobody asks.
    #[derive(Clone, Copy)]
    pub(crate) struct MadeBy;

    impl MadeBy {
        pub(crate) const fn current() -> Self {
            Self
        }

        pub(crate) const fn is_current(self) -> bool {
            true
        }
    }

    impl fmt::Display for MadeBy {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            Ok(())
        }
    }
}
