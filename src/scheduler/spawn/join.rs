//! The handle on a fiber, with which others wait for its end, take its result, and cancel it.

mod error;

pub use error::{JoinError, JoinErrorKind};

use super::end::give_cell_back;
use super::joined;
use super::{Extra, result_of};
use crate::platform::{NEVER, Nanoseconds};
use crate::scheduler::cpu::current;
use crate::scheduler::lock_free::joiner::JoinerPlace;
use crate::scheduler::lock_free::state::{CANCELLED, Progress, State};
use crate::scheduler::report::failure::Failure;
use crate::scheduler::run_loop::unparker::Unparker;
use crate::scheduler::run_loop::waiting::{self, WaitError};
use crate::scheduler::run_loop::{RunLoop, deadline_after, deadlock};
use crate::scheduler::task::header::Header;
use crate::scheduler::task::id::FiberId;
use crate::scheduler::task::wait::{Giver, Kind, WaitReason};
use core::fmt;
use core::future::Future;
use core::marker::PhantomData;
use core::mem::{ManuallyDrop, needs_drop};
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;

static KIND: Kind = Kind::new(WaitReason::Join, Giver::Joined);

/// Sets the running fiber as the joiner, instead of the previous one. Returns false if it is too late:
/// see [`set_fiber`](JoinerPlace::set_fiber).
///
/// # Panics
///
/// Panics where waiting is not allowed.
#[cold]
#[inline(never)]
#[track_caller]
fn take_place(place: &JoinerPlace<Header>, fiber: *const Header) -> bool {
    let _is_in_time = place.clear();
    // The destructor of a waker may have forbidden waiting without allowing it again.
    let _may_still_wait = current::waiting_fiber();
    place.set_fiber(fiber)
}

/// The handle on a fiber, which alone can take its result. Dropping it detaches the fiber.
#[must_use = "dropping the handle detaches the fiber"]
pub struct JoinHandle<T> {
    id: FiberId,
    /// Whether polling has taken the result, so that the cell is no longer ours.
    is_taken: bool,
    result: PhantomData<T>,
}

// SAFETY: it gives access to the result, which may be sent, and to the atomic state word.
unsafe impl<T: Send> Send for JoinHandle<T> {}
// SAFETY: a shared handle gives no access to the result.
unsafe impl<T> Sync for JoinHandle<T> {}

impl<T> JoinHandle<T> {
    pub(crate) const fn new(id: FiberId) -> Self {
        Self {
            id,
            is_taken: false,
            result: PhantomData,
        }
    }

    /// Returns the id of the fiber.
    #[must_use]
    pub const fn id(&self) -> FiberId {
        self.id
    }

    /// Returns the [`Unparker`] of the fiber, which wakes it when it parks.
    #[must_use]
    pub const fn unparker(&self) -> Unparker {
        Unparker(self.id)
    }

    fn state(&self) -> &State {
        assert!(
            !self.is_taken,
            "a join handle was used after its result was taken"
        );
        // SAFETY: the handle keeps the cell taken, so the header is this fiber's.
        unsafe { &(*self.id.header()).state }
    }

    /// Returns whether the fiber has ended: its closure has returned, or it has failed.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.state().is_finished()
    }

    /// Asks the fiber to end, in its own time. Its waits that can fail return an error, and
    /// [`is_cancelled`](crate::scheduler::is_cancelled) returns `true`. A second call does nothing.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Lock-free. Blocks: nothing.
    pub fn cancel(&self) {
        let _is_alive = self.id.signal::<CANCELLED>();
    }

    /// Waits for the fiber's end and returns its result. The wait lends the fiber no priority: if
    /// its priority is low, all ready fibers between it and the caller run first.
    ///
    /// # Errors
    ///
    /// Gives the handle back if the fiber failed, the caller is cancelled, or there is a deadlock.
    ///
    /// # Panics
    ///
    /// Panics where waiting is not allowed. After `run`, use [`try_join`](Self::try_join) instead.
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[track_caller]
    pub fn join(self) -> Result<T, JoinError<T>> {
        self.join_until(NEVER)
    }

    /// Waits as [`join`](Self::join) does, but no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`join`](Self::join), and one if the time has passed.
    ///
    /// # Panics
    ///
    /// As [`join`](Self::join).
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[track_caller]
    pub fn join_timeout(self, timeout: Duration) -> Result<T, JoinError<T>> {
        let fiber = current::waiting_fiber();
        // SAFETY: it runs.
        let run_loop = unsafe { RunLoop::of(fiber) };
        self.join_until(deadline_after(run_loop, timeout))
    }

    /// Waits as [`join`](Self::join) does, but no longer than until `deadline`.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`join`](Self::join), and one if the deadline has passed.
    ///
    /// # Panics
    ///
    /// As [`join`](Self::join).
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: the fiber.
    #[track_caller]
    pub fn join_until(self, deadline: Nanoseconds) -> Result<T, JoinError<T>> {
        let fiber = current::waiting_fiber();
        let other = self.id.header();
        let mut progress = self.progress();
        if progress != Progress::Runs {
            // SAFETY: it has finished, and the handle is gone with this.
            return unsafe { self.take(progress) };
        }
        if deadlock::can_be_closed(fiber, other) && deadlock::is_closed_by(fiber, &KIND, other) {
            return Err(JoinError {
                handle: self,
                kind: JoinErrorKind::Deadlock,
            });
        }
        joined::may_be_joined();
        let joiner = self.joiner();
        if !joiner.set_fiber_at_once(fiber) && !take_place(joiner, fiber) {
            progress = self.await_end();
            // SAFETY: it has finished, and the handle is gone with this.
            return unsafe { self.take(progress) };
        }
        let waited = waiting::wait_to_be_told(fiber, &KIND, other.cast(), deadline, || {
            progress = self.progress();
            progress != Progress::Runs
        });
        match waited {
            // SAFETY: it has finished, and the handle is gone with this.
            Ok(()) => unsafe { self.take(progress) },
            Err(error) => {
                self.tell_nobody();
                let kind = match error {
                    WaitError::TimedOut => JoinErrorKind::TimedOut,
                    WaitError::Cancelled => JoinErrorKind::Cancelled,
                };
                Err(JoinError { handle: self, kind })
            }
        }
    }

    /// Returns the result if the fiber has ended. It never waits.
    ///
    /// # Errors
    ///
    /// Gives the handle back if the fiber has not ended, or has failed.
    ///
    /// # Context
    ///
    /// Callable from: fiber, scheduler, any core. Blocks: nothing.
    pub fn try_join(self) -> Result<T, JoinError<T>> {
        let progress = self.progress();
        if progress == Progress::Runs {
            return Err(JoinError {
                handle: self,
                kind: JoinErrorKind::NotFinished,
            });
        }
        // SAFETY: it has finished, and the handle is gone with this.
        unsafe { self.take(progress) }
    }

    /// Returns the place that records who is told when the fiber has ended.
    const fn joiner(&self) -> &JoinerPlace<Header> {
        // SAFETY: the handle keeps the cell taken, and it is a cell's.
        unsafe { &Extra::of(self.id.header()).joiner }
    }

    /// Removes the joiner. If another core is ending the fiber at this moment, returns when it has
    /// finished.
    fn tell_nobody(&self) {
        if !self.joiner().clear() {
            self.await_end();
        }
    }

    /// Removes the waker, whose destructor runs inside of this call.
    #[inline(always)]
    fn drop_waker(&self) {
        // SAFETY: there is a waker, so the handle was polled.
        unsafe { joined::drop_waker(self.joiner()) };
    }

    /// Waits for a few instructions while another core ends the fiber. Returns how it ended.
    #[cold]
    fn await_end(&self) -> Progress {
        loop {
            let progress = self.progress();
            if progress != Progress::Runs {
                return progress;
            }
            crate::atomic::spin_loop();
        }
    }

    /// Detaches the fiber, as dropping the handle does: it runs on, and its result is dropped.
    pub fn detach(self) {
        drop(self);
    }

    /// Takes the result, if there is one, and gives the cell back.
    ///
    /// # Safety
    ///
    /// The fiber has finished, with this progress.
    #[inline(always)]
    unsafe fn take(self, progress: Progress) -> Result<T, JoinError<T>> {
        if progress == Progress::Failed {
            // SAFETY: the caller's promise.
            let failure = unsafe { self.failure() };
            return Err(JoinError {
                handle: self,
                kind: JoinErrorKind::Failed(failure),
            });
        }
        let this = ManuallyDrop::new(self);
        // SAFETY: the caller's promise, and it has not failed.
        Ok(unsafe { this.take_in_place() })
    }

    /// Returns how far the fiber has come.
    #[inline(always)]
    fn progress(&self) -> Progress {
        self.state().progress()
    }

    /// Returns the reason why the fiber failed.
    ///
    /// # Safety
    ///
    /// It has failed, and has ended.
    unsafe fn failure(&self) -> &'static Failure {
        // SAFETY: its end put the failure there, and by X1 it stays.
        unsafe { &*result_of::<Failure>(self.id.header()) }
    }

    /// # Safety
    ///
    /// The fiber has finished and has not failed, and the handle is not used again.
    unsafe fn take_in_place(&self) -> T {
        let header = self.id.header();
        // SAFETY: it has finished, so its result is in its place, and is moved only here.
        let result = unsafe { result_of::<T>(header).read() };
        let _has_finished = self.state().detach();
        // SAFETY: it has finished, and its result was taken.
        unsafe { give_cell_back(header) };
        result
    }
}

/// If nobody takes the result, its destructor runs where the handle is dropped if the fiber has
/// returned by then, and otherwise at the end of the fiber.
impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        /// Gives the cell back, also when the result's destructor unwinds.
        struct GiveBack<'a, T>(&'a JoinHandle<T>);
        impl<T> Drop for GiveBack<'_, T> {
            fn drop(&mut self) {
                if needs_drop::<T>() {
                    self.0.state().set_in_destructor(false);
                }
                if self.0.state().detach() {
                    // SAFETY: it had finished before, without a failure; the result was dropped, and so
                    // is the handle.
                    unsafe { give_cell_back(self.0.id.header()) };
                }
            }
        }

        if self.is_taken {
            return;
        }
        if self.joiner().has_waker() {
            self.drop_waker();
        }
        if needs_drop::<T>() && self.state().detach_before_return() {
            return;
        }
        let cell = GiveBack(self);
        let header = self.id.header();
        // SAFETY: the handle keeps the cell taken, and it is a cell's.
        if needs_drop::<T>() && unsafe { Extra::of(header) }.has_result.replace(false) {
            cell.0.state().set_in_destructor(true);
            // SAFETY: it is there, and by `detach_before_return` ours.
            unsafe { result_of::<T>(header).drop_in_place() };
        }
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, &'static Failure>;

    /// Becomes ready once the fiber has ended, with the result or the failure. Polling after a
    /// result panics.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut progress = self.progress();
        if progress == Progress::Runs {
            joined::may_be_polled();
            let is_late = self.joiner().set_waker(context.waker().clone()).is_err();
            progress = self.progress();
            if progress == Progress::Runs {
                if is_late {
                    // It is about to leave its stack, perhaps interrupted by us: ask again soon.
                    context.waker().wake_by_ref();
                }
                return Poll::Pending;
            }
        }
        if progress == Progress::Failed {
            // SAFETY: it has.
            return Poll::Ready(Err(unsafe { self.failure() }));
        }
        // SAFETY: it has finished, and `is_taken` keeps the handle from being used again.
        let result = unsafe { self.take_in_place() };
        self.is_taken = true;
        Poll::Ready(Ok(result))
    }
}

impl<T> Unpin for JoinHandle<T> {}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = f.debug_struct("JoinHandle");
        fields.field("id", &self.id);
        if !self.is_taken {
            fields.field("is_finished", &self.is_finished());
        }
        fields.finish_non_exhaustive()
    }
}
