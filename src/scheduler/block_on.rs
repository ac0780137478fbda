//! Running a future on a fiber: no allocation, and its waker may be called from an interrupt handler.

use super::current;
use super::id::FiberId;
use super::state::State;
use super::wait::Kind;
use super::waiting::wait_shielded;
use core::future::Future;
use core::pin::pin;
use core::ptr;
use core::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

/// Runs a future to its end on the running fiber, which waits while the future does.
///
/// The waker is the fiber's own address, so cloning it costs nothing. One that is called after the fiber has ended does
/// nothing, or wakes the next fiber in the same cell once too often, which every wait here bears.
///
/// ```
/// use kfiber::{platform::Host, scheduler::{self, FiberCell, Scheduler}};
///
/// static SCHEDULER: Scheduler<Host> = Scheduler::new(Host::new());
/// static A: FiberCell<65536> = FiberCell::new();
/// static B: FiberCell<65536> = FiberCell::new();
///
/// let a = SCHEDULER.spawn(&A, || 20)?;
/// let b = SCHEDULER.spawn(&B, || scheduler::block_on(async { a.await.map(|a| a + 1) }))?;
/// SCHEDULER.run();
/// assert_eq!(b.try_join().unwrap(), Ok(21));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Panics
///
/// Panics where waiting is not allowed.
///
/// # Context
///
/// Callable from: fiber. Blocks: the fiber. Cancelling the fiber does not end it; let the future ask.
#[track_caller]
pub fn block_on<F: Future>(future: F) -> F::Output {
    let fiber = current::waiting_fiber();
    // SAFETY: it runs.
    let state = unsafe { &(*fiber).state };
    // SAFETY: the functions of the table do what `RawWaker` asks; the data is not owned.
    let waker = unsafe { Waker::new(fiber.cast(), &TABLE) };
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            // A `block_on` around this one may have been notified, and this one may have taken it.
            // SAFETY: it runs.
            let _is_alive = unsafe { FiberId::of(fiber) }.signal(State::notify);
            return output;
        }
        wait_shielded(fiber, Kind::FUTURE, ptr::null(), || {
            state.take_notification()
        });
    }
}

static TABLE: RawWakerVTable =
    RawWakerVTable::new(|data| RawWaker::new(data, &TABLE), wake, wake, |_data| {});

/// Tells the fiber at `data` to poll again.
unsafe fn wake(data: *const ()) {
    // SAFETY: `block_on` made it of a header, which stays readable for good.
    let id = unsafe { FiberId::of(data.cast()) };
    let _is_alive = id.signal(State::notify);
}
