//! A value that the first fiber to ask for it initializes, while the others wait.

use super::line::{Line, Served, Waiter};
use super::lock_error::LockError;
use super::locked::Locked;
use crate::platform::{NEVER, Nanoseconds};
use crate::scheduler::cpu::current;
use crate::scheduler::run_loop::deadlock;
use crate::scheduler::task::header::Header;
use crate::scheduler::task::owner::{HeldBy, OwnerWord};
use crate::scheduler::task::wait::{Giver, Kind};
use crate::scheduler::{WaitError, WaitReason, after};
use core::cell::UnsafeCell;
use core::fmt;
use core::mem::{ManuallyDrop, MaybeUninit};
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use core::time::Duration;

fn leave(line: &mut Line, waiter: &Waiter) -> Served {
    line.remove(waiter);
    Served::nobody()
}

/// Returns the fiber that initializes the value.
///
/// # Safety
///
/// The requirements of [`HolderOf`](crate::scheduler::task::wait::HolderOf) apply.
unsafe fn maker_of(object: *const (), fiber: *const Header, is_about_to_wait: bool) -> HeldBy {
    // SAFETY: the caller's promise; a `Once` begins with its maker.
    let maker = load(unsafe { &*object.cast() });
    if maker.is_nobody() || maker.is_of(fiber) && !is_about_to_wait {
        return HeldBy::Nobody;
    }
    HeldBy::Fiber(maker)
}

fn load(maker: &AtomicPtr<Header>) -> OwnerWord {
    OwnerWord::from_stored(maker.load(Ordering::Relaxed))
}

/// A value that is initialized once, on first use.
///
/// ```
/// use kfiber::{platform::Host, scheduler::{FiberPool, Scheduler}, sync::Once};
///
/// static SCHEDULER: Scheduler<Host> = Scheduler::new(Host::new());
/// static CELLS: FiberPool<65536, 1> = FiberPool::new();
/// static TABLE: Once<[u32; 2]> = Once::new();
///
/// let fiber = SCHEDULER.spawn(&CELLS, || TABLE.call_once(|| [1, 2])[1])?;
/// SCHEDULER.run();
/// assert_eq!(fiber.try_join().unwrap(), 2);
/// assert_eq!(TABLE.get(), Some(&[1, 2]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// If a closure unwinds, or its fiber [fails](crate::scheduler::failures), the next fiber that asks
/// for the value calls its own closure.
///
/// A wait for the value lends no priority to the fiber that initializes it. If that fiber has a low
/// priority, all runnable fibers of medium priority run first. Where this matters, initialize the
/// value before fibers of different priorities use it.
#[repr(C)] // the maker first: `maker_of` does not know of which type the value is
pub struct Once<T> {
    /// The [`OwnerWord`] of the fiber that initializes the value. It is changed only in the lock of
    /// the line.
    maker: AtomicPtr<Header>,
    is_made: AtomicBool,
    line: Locked<Line>,
    value: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: the value is written by one fiber, and shared afterwards.
unsafe impl<T: Send + Sync> Sync for Once<T> {}

/// The error of a wait that ended before the value was initialized. It returns the closure.
pub struct OnceError<F> {
    /// The closure, which was not called.
    pub closure: F,
    /// The reason why the wait ended.
    pub error: WaitError,
}

/// What the fiber has to do about the value.
#[derive(PartialEq, Eq)]
enum Turn {
    Make,
    Made,
    Wait,
}

impl<T> Once<T> {
    /// Creates a `Once` without a value.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            maker: AtomicPtr::new(ptr::null_mut()),
            is_made: AtomicBool::new(false),
            line: Locked::new(Line::new()),
            value: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }

    /// Returns the value if it is initialized.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        if !self.is_made.load(Ordering::Acquire) {
            return None;
        }
        // SAFETY: nobody changes it once it is made.
        let value = unsafe { &*self.value.get() };
        // SAFETY: it is made.
        Some(unsafe { value.assume_init_ref() })
    }

    /// Returns the value. Calls `f` to initialize it if no fiber has begun to, and waits for that
    /// fiber otherwise. Cancellation does not interrupt the wait.
    ///
    /// # Panics
    ///
    /// Panics where waiting is not allowed, unless the value is already initialized. Panics if `f`
    /// itself asks for the value.
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[inline]
    #[track_caller]
    pub fn call_once(&self, f: impl FnOnce() -> T) -> &T {
        match self.get() {
            Some(value) => value,
            None => match self.make_or_wait(NEVER, f) {
                Ok(value) => value,
                Err(_) => unreachable!("a wait without an end has ended"),
            },
        }
    }

    /// Behaves like [`call_once`](Self::call_once), but waits no longer than `timeout` for another
    /// fiber to initialize the value.
    ///
    /// # Errors
    ///
    /// Returns the closure in a [`OnceError`] when the time has passed.
    ///
    /// # Panics
    ///
    /// Panics in the same cases as [`call_once`](Self::call_once).
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[track_caller]
    pub fn call_once_timeout<F: FnOnce() -> T>(
        &self,
        timeout: Duration,
        f: F,
    ) -> Result<&T, OnceError<F>> {
        self.call_once_until(after(timeout), f)
    }

    /// Behaves like [`call_once`](Self::call_once), but waits no longer than until `deadline` for
    /// another fiber to initialize the value.
    ///
    /// # Errors
    ///
    /// Returns the closure in a [`OnceError`] when the deadline has passed.
    ///
    /// # Panics
    ///
    /// Panics in the same cases as [`call_once`](Self::call_once).
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[track_caller]
    pub fn call_once_until<F: FnOnce() -> T>(
        &self,
        deadline: Nanoseconds,
        f: F,
    ) -> Result<&T, OnceError<F>> {
        match self.get() {
            Some(value) => Ok(value),
            None => self.make_or_wait(deadline, f),
        }
    }

    #[cold]
    #[track_caller]
    fn make_or_wait<F: FnOnce() -> T>(
        &self,
        deadline: Nanoseconds,
        f: F,
    ) -> Result<&T, OnceError<F>> {
        match self.turn(current::waiting_fiber(), deadline) {
            Ok(Turn::Make) => self.make(f),
            Ok(_) => {}
            Err(error) => return Err(OnceError { closure: f, error }),
        }
        Ok(self.get().expect("it was made"))
    }

    const KIND: &'static Kind = &Kind::in_line(
        WaitReason::Once,
        Giver::Holder(maker_of),
        Self::leave_failed,
    );

    /// Removes a fiber that failed while it waited.
    ///
    /// # Safety
    ///
    /// The requirements of [`Leave`](crate::scheduler::task::wait::Leave) apply.
    unsafe fn leave_failed(object: *const (), waiter: *const ()) {
        // SAFETY: the caller's promise.
        let (this, waiter) = unsafe { Waiter::of_failed::<Self>(object, waiter) };
        // If it was its turn to make the value, the other fibers are told after its failure.
        let _is_not_maker = waiter.has_left(&this.line, leave);
    }

    /// Waits for the value, or until it is the fiber's turn to initialize it.
    #[track_caller]
    fn turn(&self, fiber: *const Header, deadline: Nanoseconds) -> Result<Turn, WaitError> {
        let object = ptr::from_ref(self).cast();
        // SAFETY: it runs.
        let own = unsafe { OwnerWord::of(fiber) };
        loop {
            let maker = load(&self.maker);
            let is_new = maker.is_nobody() || maker == own || maker.has_failed();
            if deadline == NEVER && !is_new {
                deadlock::look(fiber, Self::KIND, object);
            }
            let waiter = Waiter::new(fiber);
            let mut is_maker = false;
            let turn = self.line.with(|line| {
                if self.is_made.load(Ordering::Relaxed) {
                    return Turn::Made;
                }
                let maker = load(&self.maker);
                is_maker = maker == own;
                if maker.is_nobody() || maker.has_failed() {
                    self.maker.store(own.raw(), Ordering::Relaxed);
                    return Turn::Make;
                }
                if !is_maker {
                    // SAFETY: it is new, and waits next, which keeps it in place.
                    unsafe { line.push(&raw const waiter) };
                }
                Turn::Wait
            });
            assert!(
                !is_maker,
                "`call_once` was called in the closure of the same `Once`: the value would wait for itself"
            );
            if turn != Turn::Wait {
                return Ok(turn);
            }
            let waited = waiter.wait_for_holder(
                &self.line,
                Self::KIND,
                object,
                deadline,
                || load(&self.maker).has_failed(),
                leave,
            );
            match waited {
                Ok(()) => break,
                Err(LockError::TimedOut) => return Err(WaitError::TimedOut),
                Err(LockError::Poisoned) => {} // then somebody else makes it: perhaps we
            }
        }
        // The maker was changed to this fiber before it was woken, or the value is there.
        Ok(if self.is_made.load(Ordering::Acquire) {
            Turn::Made
        } else {
            Turn::Make
        })
    }

    fn make(&self, f: impl FnOnce() -> T) {
        /// Passes the turn to the next fiber if the closure unwinds.
        struct Next<'a, T>(&'a Once<T>);
        impl<T> Drop for Next<'_, T> {
            fn drop(&mut self) {
                let mut served = Served::nobody();
                self.0.line.with(|line| {
                    let next = line.serve_first(&mut served);
                    let next = next.map_or(ptr::null(), |waiter| waiter.fiber);
                    // SAFETY: whoever was in line waits still.
                    let maker = unsafe { OwnerWord::of_or_nobody(next) };
                    self.0.maker.store(maker.raw(), Ordering::Relaxed);
                });
                served.wake();
            }
        }

        let next = Next(self);
        let value = f();
        let _not_needed = ManuallyDrop::new(next);
        // SAFETY: we are the maker, so nobody else touches it before it is made.
        unsafe { (*self.value.get()).write(value) };
        let mut served = Served::nobody();
        self.line.with(|line| {
            self.is_made.store(true, Ordering::Release);
            self.maker.store(ptr::null_mut(), Ordering::Relaxed);
            line.serve_all(&mut served);
        });
        served.wake();
    }
}

impl<T> Drop for Once<T> {
    fn drop(&mut self) {
        if *self.is_made.get_mut() {
            // SAFETY: it is made, and nobody uses it any more.
            unsafe { self.value.get_mut().assume_init_drop() };
        }
    }
}

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: fmt::Debug> fmt::Debug for Once<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Once").field(&self.get()).finish()
    }
}

debug_is_display!(<F> OnceError<F>);

impl<F> fmt::Display for OnceError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<F> core::error::Error for OnceError<F> {}
