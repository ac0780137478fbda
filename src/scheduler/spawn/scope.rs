//! Fibers that borrow from the fiber that spawns them, which waits for all of them.

use super::builder::{Builder, CellSource, SpawnError};
use super::join::{JoinError, JoinHandle};
use crate::scheduler::cpu::current;
use crate::scheduler::cpu::no_unwind::NoUnwind;
use crate::scheduler::run_loop::{RunLoop, deadlock, waiting};
use crate::scheduler::spawn;
use crate::scheduler::task::id::FiberId;
use crate::scheduler::task::priority::Priority;
use crate::scheduler::task::scope_count::ScopeCount;
use crate::scheduler::task::wait::{Giver, Kind, WaitReason};
use core::fmt;
use core::marker::PhantomData;
use core::panic::Location;
use core::ptr;
use core::sync::atomic::Ordering;

static KIND: Kind = Kind::new(WaitReason::Scope, Giver::Scope);

/// A scope for fibers that borrow from the fiber that created it: see [`scope`].
///
/// It is shared by reference. A fiber of the scope may spawn others in it.
pub struct Scope<'scope, 'env: 'scope> {
    count: ScopeCount,
    // Invariant in both, as in `std::thread::Scope`.
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

// SAFETY: the owner is only woken, and its header stays readable for good; the rest is atomic.
unsafe impl Sync for ScopeCount {}

/// Calls `f` with a scope, in which it can spawn fibers that borrow from the surrounding function.
/// Returns when all of them have ended.
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
/// Whatever crosses to a fiber of the scope must be `Send`, as with [`std::thread::scope`]: the
/// closure, what it captures, and its result. This holds although all of them run on one core. The
/// guard of a lock, for instance, belongs to the fiber that locked it.
///
/// Cancelling the owner, which is the fiber that calls this function, does not end the wait,
/// because the borrows must end first. The fibers of the scope run in its owner's loop. The wait
/// lends them no priority: if their priority is lower than the owner's, ready fibers in between run
/// first.
///
/// [`std::thread::scope`]: https://doc.rust-lang.org/std/thread/fn.scope.html
///
/// # Panics
///
/// Panics where waiting is not allowed. When all fibers have ended, it also panics if one of them
/// failed, whether joined or not: what that fiber had borrowed may be half-changed, so nobody may
/// see it again.
///
/// A scope is never left while one of its fibers runs. If the owner cannot wait for them
/// (interrupts are off, waiting is forbidden, or a hook panics), a host's process aborts with a
/// message, and a kernel panics.
///
/// # Context
///
/// Callable from: fiber. Blocks: the fiber.
#[track_caller]
pub fn scope<'env, F, R>(f: F) -> R
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> R,
{
    /// Waits for all fibers of the scope, also when `f` unwinds.
    struct WaitForAll<'a, 'scope, 'env>(&'a Scope<'scope, 'env>, &'static Location<'static>);
    impl Drop for WaitForAll<'_, '_, '_> {
        fn drop(&mut self) {
            let Self(Scope { count, .. }, place) = *self;
            if count.running() == 0 {
                return;
            }
            let no_unwind = NoUnwind::begin(
                "a scope cannot be left while its fibers run, for they borrow what is around it: do not keep the guard of an \
                 `IrqMutex` beyond the end of the scope's closure, and do not panic in hooks",
            );
            let (owner, object) = (current::waiting_fiber(), ptr::from_ref(count).cast());
            // This wait cannot fail, because the borrows must end.
            deadlock::look_and_wait(place, owner, &KIND, object);
            waiting::wait_shielded_at(place, owner, &KIND, object, || count.running() == 0);
            no_unwind.done();
        }
    }

    // SAFETY: it runs.
    let owner = unsafe { FiberId::of(current::waiting_fiber()) };
    let scope = Scope {
        count: ScopeCount::new(owner),
        scope: PhantomData,
        env: PhantomData,
    };
    let all = WaitForAll(&scope, Location::caller());
    let result = f(&scope);
    drop(all);
    assert!(
        !scope.count.has_failure.load(Ordering::Relaxed),
        "a fiber of this scope failed: what it had borrowed may be half-changed, so the scope's owner fails with it"
    );
    result
}

impl<'scope> Scope<'scope, '_> {
    /// Spawns a fiber that may borrow what outlives the scope, with the default name and priority.
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
        source: H,
        closure: F,
    ) -> Result<ScopedJoinHandle<'scope, T>, SpawnError<F>>
    where
        H: CellSource,
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        self.spawn_as(source, "", Priority::NORMAL, closure)
    }

    /// Spawns a fiber as [`spawn`](Self::spawn) does, with a name and a priority.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Self::spawn).
    ///
    /// # Panics
    ///
    /// With the feature `smp`, panics if more than 65535 fibers borrow from the scope's owner.
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: nothing.
    pub fn spawn_as<H, F, T>(
        &'scope self,
        source: H,
        name: &'static str,
        priority: Priority,
        closure: F,
    ) -> Result<ScopedJoinHandle<'scope, T>, SpawnError<F>>
    where
        H: CellSource,
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        let owner = self.count.owner();
        // SAFETY: headers stay readable for good, and loops are statics.
        let run_loop = unsafe { RunLoop::of(owner.header()) };
        let builder = Builder {
            run_loop,
            #[cfg(feature = "smp")]
            is_pinned: false,
            name,
            priority,
        };
        #[cfg(feature = "smp")]
        // SAFETY: as above.
        let state = unsafe { &(*owner.header()).state };
        #[cfg(feature = "smp")]
        assert!(
            state.lend(owner.generation),
            "more than 65535 fibers borrow from one: wait for some of them first"
        );
        self.count.running.fetch_add(1, Ordering::Relaxed);
        // SAFETY: closure and result may be sent. By B1 the fiber is done with all that it borrowed
        // before the scope ends. Its result is dropped by then, or belongs to the handle.
        let spawned = unsafe {
            spawn::spawn_in::<_, _, _, true>(builder, source, closure, &raw const self.count)
        };
        let handle = spawned.inspect_err(|_| {
            // Nobody waits for this count: the caller is the scope's closure, or a fiber of the
            // scope, which is counted itself.
            #[cfg(feature = "smp")]
            let _is_last = state.give_back(owner.generation);
            self.count.running.fetch_sub(1, Ordering::Relaxed);
        })?;
        Ok(ScopedJoinHandle {
            handle,
            scope: PhantomData,
        })
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope")
            .field("running", &self.count.running())
            .finish_non_exhaustive()
    }
}

/// A handle on a fiber of a scope.
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

    /// Returns whether the fiber has ended: see [`JoinHandle::is_finished`].
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }

    /// Returns the id of the fiber.
    #[must_use]
    pub const fn id(&self) -> FiberId {
        self.handle.id()
    }

    /// Detaches the fiber, which continues to run. The scope still waits for it.
    pub fn detach(self) {
        self.handle.detach();
    }
}
