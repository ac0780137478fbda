//! State of the processor that follows a fiber: address space, stack for interrupts, FS and GS
//! bases, floating-point registers.
//!
//! The switch itself keeps what compiled code needs. Everything else that belongs to a fiber, for
//! instance if it is a process, is saved and loaded by the [switch
//! hook](crate::platform::SwitchHook) of the kernel's platform. A [`PerFiber`] is such a hook,
//! together with the state of each fiber that has one:
//!
//! ```ignore
//! use kfiber::switch_state::{AddressSpace, FsGsBases, FxsaveArea, KernelStack, PerFiber};
//!
//! type Process = (AddressSpace, KernelStack, FsGsBases, FxsaveArea);
//!
//! static PROCESSES: PerFiber<Process> = PerFiber::new((
//!     AddressSpace::unset(), KernelStack::unset(), FsGsBases::unset(), FxsaveArea::new(),
//! ));
//!
//! unsafe impl Platform for Machine {
//!     fn switch_hook(&self) -> Option<SwitchHook> {
//!         // SAFETY: this is the hook.
//!         Some(|prev, next| unsafe { PROCESSES.on_switch(prev, next) })
//!     }
//!     // ...
//! }
//!
//! SCHEDULER.spawn(&CELLS, || {
//!     let mut process: Process = /* ... */;
//!     PROCESSES.with(&mut process, |process| { /* enter user mode */ })
//! })
//! ```
//!
//! The state lies where the fiber puts it, usually on its own stack, and the fiber is found by a
//! [`FiberLocal`], so cells need no room for it. Fibers without a state cost little: the hook looks
//! at one word of each. `docs/instructions.md` has the costs: `yield_2_stateless` and the rows that
//! follow it.
//!
//! The states of the processor are there only on the bare machine, and `AddressSpace`,
//! `FsGsBases` and `KernelStack` with the feature `x86_64`. A kernel can implement
//! [`SwitchState`] for its own, and combine up to four in a tuple.

#[cfg(not(target_os = "linux"))]
mod floating_point;
#[cfg(all(feature = "x86_64", not(target_os = "linux")))]
mod registers;

#[cfg(not(target_os = "linux"))]
pub use floating_point::{FxsaveArea, XsaveArea, XsaveUnusable};
#[cfg(all(feature = "x86_64", not(target_os = "linux")))]
pub use registers::{AddressSpace, FsGsBases, KernelStack};

use crate::scheduler::FiberLocal;
use crate::scheduler::task::header::Header;
use core::fmt;

/// State of the processor, or of the kernel, of which each fiber can have its own.
///
/// The functions are called in the middle of a switch. They must not wait, panic, or switch.
pub trait SwitchState: Sync {
    /// Stores in `self` what is in use, because the fiber leaves.
    ///
    /// # Safety
    ///
    /// This state is in use on this core: it was loaded last, or it is the state outside of fibers
    /// and none was loaded yet. Nobody else uses `self` meanwhile.
    ///
    /// # Context
    ///
    /// Called from: fiber, scheduler, with interrupts on or off.
    unsafe fn save(&self);

    /// Takes what is stored in `self` into use.
    ///
    /// # Safety
    ///
    /// The state that was in use on this core was saved, or is given up. Nobody else uses `self`
    /// meanwhile.
    ///
    /// # Context
    ///
    /// As for [`save`](Self::save).
    unsafe fn load(&self);
}

/// A state for each fiber that wants one, and one for everybody else. See the [module](self).
///
/// It is the hook of one core, because the state for everybody else is that of this core. In a kernel
/// with the feature `smp` each core therefore needs one of its own, which the kernel's hook chooses,
/// and a fiber must not move to another core while it has a state.
pub struct PerFiber<S: 'static> {
    own: FiberLocal<S>,
    outside: S,
}

impl<S: SwitchState> PerFiber<S> {
    /// Returns a hook with this state for all fibers that have none of their own, and for the
    /// scheduler. It is saved before the first other state is loaded, so it need not be known yet.
    #[must_use]
    pub const fn new(outside: S) -> Self {
        Self {
            own: FiberLocal::new(),
            outside,
        }
    }

    /// Gives the running fiber this state while `f` runs. The state is loaded before and saved
    /// afterwards, and whenever another fiber runs in between. No other fiber can use the same
    /// state, since it is borrowed exclusively; `f` gets a shared reference to it.
    ///
    /// If the fiber fails in `f`, its state is never used again.
    ///
    /// # Panics
    ///
    /// Panics outside of scheduled fibers, and in a [`Fiber`](crate::fiber::Fiber) that one of them
    /// resumed.
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: nothing.
    #[track_caller]
    pub fn with<R>(&'static self, state: &mut S, f: impl FnOnce(&S) -> R) -> R {
        /// Takes the first state out of use and the second into use, also when `f` unwinds.
        struct Exchange<'a, S: SwitchState>(&'a S, &'a S);
        impl<S: SwitchState> Drop for Exchange<'_, S> {
            fn drop(&mut self) {
                // SAFETY: it was loaded last, and belongs to the running fiber or to all others.
                unsafe { self.0.save() };
                // SAFETY: the other was saved just now.
                unsafe { self.1.load() };
            }
        }

        let state = &*state;
        self.own.with(|outer| {
            let outer = outer.unwrap_or(&self.outside);
            self.own.bind(state, || {
                drop(Exchange(outer, state));
                let _back = Exchange(state, outer);
                f(state)
            })
        })
    }

    /// Saves the state of the fiber that is left and loads that of the fiber that is entered. This
    /// does nothing if neither has one.
    ///
    /// # Safety
    ///
    /// A [switch hook](crate::platform::SwitchHook) calls this with its arguments, once for each
    /// switch.
    ///
    /// # Context
    ///
    /// Called from: scheduler.
    pub unsafe fn on_switch(&'static self, prev: *const u8, next: *const u8) {
        // SAFETY: the scheduler's addresses within stacks of fibers are those of headers, and a
        // fiber that is left or entered is alive, or has failed and stays as it is.
        let prev = unsafe { self.own.of(prev.cast::<Header>()) };
        // SAFETY: as above.
        let next = unsafe { self.own.of(next.cast::<Header>()) };
        if prev.is_none() && next.is_none() {
            return;
        }
        // SAFETY: it is in use until now.
        unsafe { prev.unwrap_or(&self.outside).save() };
        // SAFETY: the other was just saved.
        unsafe { next.unwrap_or(&self.outside).load() };
    }
}

impl<S> fmt::Debug for PerFiber<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerFiber").finish_non_exhaustive()
    }
}

macro_rules! tuple {
    ($($part:ident $number:tt),*) => {
        impl<$($part: SwitchState),*> SwitchState for ($($part,)*) {
            unsafe fn save(&self) {
                $(
                    // SAFETY: the caller's promise.
                    unsafe { self.$number.save() };
                )*
            }

            unsafe fn load(&self) {
                $(
                    // SAFETY: the caller's promise.
                    unsafe { self.$number.load() };
                )*
            }
        }
    };
}

tuple!(A 0, B 1);
tuple!(A 0, B 1, C 2);
tuple!(A 0, B 1, C 2, D 3);
