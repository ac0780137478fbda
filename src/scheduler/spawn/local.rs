//! Fiber locals: a fiber binds a value while a function runs, and all code that the function calls
//! can see it.
//!
//! The binding lies on the fiber's own stack. Any number of values of any type can therefore be
//! bound, and no storage is set aside for them.

use crate::scheduler::cpu::current;
use crate::scheduler::task::binding::Binding;
use crate::scheduler::task::control::Extra;
use crate::scheduler::task::header::Header;
use core::fmt;
use core::marker::PhantomData;
use core::ptr;

/// A name to which each fiber can bind a value of its own.
///
/// ```
/// use kfiber::{platform::Host, scheduler::{FiberCell, FiberLocal, Scheduler}};
///
/// static SCHEDULER: Scheduler<Host> = Scheduler::new(Host::new());
/// static CELL: FiberCell<65536> = FiberCell::new();
/// static REQUEST: FiberLocal<u32> = FiberLocal::new();
///
/// fn log() -> Option<u32> {
///     REQUEST.with(|request| request.copied())
/// }
///
/// let fiber = SCHEDULER.spawn(&CELL, || (REQUEST.bind(&7, log), log()))?;
/// SCHEDULER.run();
/// assert_eq!(fiber.try_join().unwrap(), (Some(7), None));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct FiberLocal<T> {
    // A static needs an address of its own, which a zero-sized type might not have.
    address: u8,
    // Invariant: values are written under one type and read under another, so neither may be a
    // subtype of the other.
    value: PhantomData<fn(T) -> T>,
}

impl<T> FiberLocal<T> {
    /// Returns the value that a fiber has bound, or `None`, also for a null pointer.
    ///
    /// # Safety
    ///
    /// The header is null, or that of a cell whose fiber is alive or has failed. No binding of the
    /// fiber begins or ends while the result is used: the caller runs in the fiber, or the fiber does
    /// not run.
    #[inline]
    pub(crate) unsafe fn of<'a>(&'static self, fiber: *const Header) -> Option<&'a T> {
        if fiber.is_null() {
            return None;
        }
        // SAFETY: it is a cell's.
        let extra = unsafe { Extra::of(fiber) };
        // SAFETY: its bindings are on its stack, and their values outlive them.
        unsafe { self.find(extra.locals.get()) }
    }

    /// Returns the value of the innermost binding of this name in a list.
    ///
    /// # Safety
    ///
    /// The list is that of a fiber, and none of its bindings ends while the result is used.
    #[inline]
    unsafe fn find<'a>(&'static self, mut binding: *const Binding) -> Option<&'a T> {
        // SAFETY: a binding is on the fiber's stack while it is in the list.
        while let Some(this) = unsafe { binding.as_ref() } {
            if ptr::eq(this.key, self.key()) {
                // SAFETY: the key is that of a `FiberLocal<T>`, so it was bound to a `&T`, which
                // outlives the binding.
                return Some(unsafe { &*this.value.cast::<T>() });
            }
            binding = this.outer;
        }
        None
    }

    /// Returns a name that is bound in no fiber.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            address: 0,
            value: PhantomData,
        }
    }

    const fn key(&'static self) -> *const () {
        (&raw const self.address).cast()
    }
}

impl<T: Sync> FiberLocal<T> {
    /// Binds a value in the running fiber while `f` runs. An inner binding hides an outer one.
    ///
    /// # Panics
    ///
    /// Panics outside of scheduled fibers, and in a [`Fiber`](crate::fiber::Fiber) that one of them
    /// resumed, because that could be suspended and leave its binding behind.
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: nothing.
    #[track_caller]
    pub fn bind<R>(&'static self, value: &T, f: impl FnOnce() -> R) -> R {
        /// Removes the binding, also when `f` unwinds.
        struct Unbind<'a>(&'a Extra, *const Binding);
        impl Drop for Unbind<'_> {
            fn drop(&mut self) {
                self.0.locals.set(self.1);
            }
        }

        let extra = running().expect(
            "a fiber local was bound outside of a fiber, or inside a `Fiber`: bind it in the closure of a scheduled fiber",
        );
        let binding = Binding {
            key: self.key(),
            value: ptr::from_ref(value).cast(),
            outer: extra.locals.get(),
        };
        extra.locals.set(&raw const binding);
        let _unbind = Unbind(extra, binding.outer);
        f()
    }

    /// Calls `f` with the value that the running fiber has bound, or with `None`. Nothing is bound
    /// on any stack but the fiber's own, such as that of a [`Fiber`](crate::fiber::Fiber) that it
    /// resumed, or one for interrupts.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt (it is then that of the interrupted fiber), scheduler.
    /// Blocks: nothing.
    pub fn with<R>(&'static self, f: impl FnOnce(Option<&T>) -> R) -> R {
        let bindings = running().map_or(ptr::null(), |extra| extra.locals.get());
        // SAFETY: the binding cannot end while `f`, called from within it on the same stack, runs.
        // In a handler `T` is used as if on another core, so it is `Sync`.
        f(unsafe { self.find(bindings) })
    }
}

/// Returns the extra block of the running fiber, if we are on its own stack. Only there do bindings
/// end in the reverse of the order in which they began.
fn running<'a>() -> Option<&'a Extra> {
    let fiber: *const Header = current::get();
    // SAFETY: a fiber that runs is alive.
    let header = unsafe { fiber.as_ref() }?;
    let here = 0_u8;
    let stack = header.stack_bottom.get().addr()..fiber.addr();
    // Where threads stand in for fibers, the thread of a `Fiber` runs no scheduled fiber.
    let is_own = cfg!(any(miri, kfiber_threads)) || stack.contains(&(&raw const here).addr());
    // SAFETY: as above, and it is a cell's.
    is_own.then(|| unsafe { Extra::of(fiber) })
}

impl<T> Default for FiberLocal<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for FiberLocal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FiberLocal").finish_non_exhaustive()
    }
}
