//! On a host: which scheduled fiber made a value that must stay with it.
//!
//! The types keep such a value from crossing to another fiber, with one exception: on a host, safe
//! code can put it into a `std::thread_local`, which all fibers of a thread share. Each use is
//! therefore checked there (rule 5 of [the model](crate::model)). The bare machine has no thread
//! locals in stable Rust, so there is no check. Where threads stand in for fibers, each fiber has
//! thread locals of its own.

#[cfg(all(target_os = "linux", not(any(miri, kfiber_threads))))]
pub(crate) use checked::MadeBy;
#[cfg(any(not(target_os = "linux"), miri, kfiber_threads))]
pub(crate) use unchecked::MadeBy;

#[cfg(all(target_os = "linux", not(any(miri, kfiber_threads))))]
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
        /// The header of the fiber, or null outside of fibers.
        header: *const Header,
        generation: u32,
    }

    impl MadeBy {
        /// Returns the running fiber.
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

        /// Returns whether that fiber is running now.
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

#[cfg(any(not(target_os = "linux"), miri, kfiber_threads))]
mod unchecked {
    use core::fmt;

    /// A stand-in without data for platforms without the check.
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
