//! Fibers that borrow from the fiber that makes them, which waits for all of them.

use super::builder::{Builder, Home, SpawnError};
use super::failing;
use super::header::Header;
use super::id::FiberId;
use super::join::{JoinError, JoinHandle};
use super::priority::Priority;
use super::run_loop::wake;
use super::spawn;
use super::wait::Kind;
use super::{current, deadlock, waiting};
use core::cell::Cell;
use core::fmt;
use core::marker::PhantomData;
use core::panic::Location;
use core::ptr;

/// Where fibers are made that borrow from their maker: see [`scope`].
pub struct Scope<'scope, 'env: 'scope> {
    count: ScopeCount,
    // Invariant in both, as in `std::thread::Scope`.
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

/// Who waits for how many. It is what the owner waits for, by its record.
pub(crate) struct ScopeCount {
    owner: *const Header,
    running: Cell<usize>,
    has_failure: Cell<bool>,
}

impl ScopeCount {
    pub(crate) const fn owner(&self) -> *const Header {
        self.owner
    }

    /// A fiber of the scope has failed, and what it had borrowed nobody else has.
    pub(crate) fn one_has_failed(&self) {
        self.has_failure.set(true);
        self.one_is_done();
    }

    /// A fiber of the scope is done with everything that it borrowed.
    pub(crate) fn one_is_done(&self) {
        let left = self.running.get() - 1;
        self.running.set(left);
        if left == 0 {
            // SAFETY: the owner does not leave the scope before it sees that the count is zero.
            unsafe { wake(self.owner) };
            // SAFETY: as above; it runs in our loop, so not before we are done here.
            if unsafe { (*self.owner).state.is_failed() } {
                failing::leave_scope(self.owner);
            }
        }
    }
}

/// Calls `f` with a scope in which it can make fibers that borrow what is around them, and returns when all have returned.
///
/// ```
/// use kfiber::{platform::Host, scheduler::{self, FiberCell, FiberPool, Scheduler}};
///
/// static SCHEDULER: Scheduler<Host> = Scheduler::new(Host::new());
/// static MAIN: FiberCell<65536> = FiberCell::new();
/// static HELPERS: FiberPool<65536, 2> = FiberPool::new();
///
/// let main = SCHEDULER.spawn(&MAIN, || {
///     let mut numbers = [1, 2, 3, 4];
///     let (low, high) = numbers.split_at_mut(2);
///     scheduler::scope(|scope| {
///         scope.spawn(&HELPERS, || low.iter_mut().for_each(|number| *number *= 10)).unwrap().detach();
///         scope.spawn(&HELPERS, || high.iter_mut().for_each(|number| *number *= 100)).unwrap().detach();
///     });
///     numbers
/// })?;
/// SCHEDULER.run();
/// assert_eq!(main.try_join().unwrap(), [10, 20, 300, 400]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Cancelling the owner does not end the wait: the borrows must end first. The fibers of the scope run in its loop.
///
/// # Panics
///
/// Panics where waiting is not allowed; and at the end, when all have ended, if one of them failed, joined or not: what it
/// had borrowed may be half-changed, so nobody may see it again.
///
/// # Context
///
/// Callable from: fiber. Blocks: the fiber.
#[track_caller]
pub fn scope<'env, F, R>(f: F) -> R
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> R,
{
    /// Waits, also when `f` unwinds.
    struct WaitForAll<'a, 'scope, 'env>(&'a Scope<'scope, 'env>, &'static Location<'static>);
    impl Drop for WaitForAll<'_, '_, '_> {
        fn drop(&mut self) {
            let Self(Scope { count, .. }, place) = *self;
            let (owner, object) = (current::waiting_fiber(), ptr::from_ref(count).cast());
            if count.running.get() != 0 {
                // It cannot fail: the borrows must end.
                deadlock::look_and_wait(place, owner, Kind::SCOPE, object);
            }
            waiting::wait_shielded_at(place, owner, Kind::SCOPE, object, || {
                count.running.get() == 0
            });
        }
    }

    let count = ScopeCount {
        owner: current::waiting_fiber(),
        running: Cell::new(0),
        has_failure: Cell::new(false),
    };
    let scope = Scope {
        count,
        scope: PhantomData,
        env: PhantomData,
    };
    let all = WaitForAll(&scope, Location::caller());
    let result = f(&scope);
    drop(all);
    assert!(
        !scope.count.has_failure.get(),
        "a fiber of this scope failed: what it had borrowed may be half-changed, so the scope's owner fails with it"
    );
    result
}

impl<'scope> Scope<'scope, '_> {
    /// Makes a fiber that may borrow what outlives the scope, with the default name and priority.
    ///
    /// # Errors
    ///
    /// Gives the closure back if there is no free cell.
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: nothing.
    pub fn spawn<H, F, T>(
        &'scope self,
        home: H,
        closure: F,
    ) -> Result<ScopedJoinHandle<'scope, T>, SpawnError<F>>
    where
        H: Home,
        F: FnOnce() -> T + 'scope,
        T: 'scope,
    {
        self.spawn_as(home, "", Priority::NORMAL, closure)
    }

    /// As [`spawn`](Self::spawn), with a name and a priority.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Self::spawn).
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: nothing.
    pub fn spawn_as<H, F, T>(
        &'scope self,
        home: H,
        name: &'static str,
        priority: Priority,
        closure: F,
    ) -> Result<ScopedJoinHandle<'scope, T>, SpawnError<F>>
    where
        H: Home,
        F: FnOnce() -> T + 'scope,
        T: 'scope,
    {
        // SAFETY: the owner of the scope is alive, and loops are statics.
        let run_loop = unsafe { Header::run_loop(self.count.owner) };
        let builder = Builder {
            run_loop,
            name,
            priority,
        };
        // SAFETY: the fiber runs in the loop of the one that makes it. It is done with all that it borrowed before the
        // scope ends: that is what the count is for. Its result is dropped by then, or belongs to the handle.
        let handle = unsafe { spawn::spawn_in(builder, home, closure, &raw const self.count) }?;
        self.count.running.set(self.count.running.get() + 1);
        Ok(ScopedJoinHandle {
            handle,
            scope: PhantomData,
        })
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope")
            .field("running", &self.count.running.get())
            .finish_non_exhaustive()
    }
}

/// The handle on a fiber of a scope.
#[derive(Debug)]
pub struct ScopedJoinHandle<'scope, T> {
    handle: JoinHandle<T>,
    scope: PhantomData<&'scope ()>,
}

impl<'scope, T> ScopedJoinHandle<'scope, T> {
    /// Waits for the fiber's end and returns its result.
    ///
    /// # Errors
    ///
    /// As [`JoinHandle::join`].
    ///
    /// # Panics
    ///
    /// As [`JoinHandle::join`].
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[track_caller]
    pub fn join(self) -> Result<T, JoinError<T>> {
        self.handle.join()
    }

    /// Asks the fiber to end: see [`JoinHandle::cancel`].
    pub fn cancel(&self) {
        self.handle.cancel();
    }

    /// Says whether the closure has returned.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }

    /// Which fiber it is.
    #[must_use]
    pub const fn id(&self) -> FiberId {
        self.handle.id()
    }

    /// Lets the fiber run on by itself; the scope still waits for it.
    pub fn detach(self) {
        self.handle.detach();
    }
}
