//! Runs a future on a fiber, without allocation, and with a waker that an interrupt handler may
//! call.

use crate::scheduler::actions::yield_now;
use crate::scheduler::cpu::current;
use crate::scheduler::lock_free::state::NOTIFIED;
use crate::scheduler::run_loop::waiting::wait_shielded;
use crate::scheduler::task::header::Header;
use crate::scheduler::task::id::FiberId;
use crate::scheduler::task::wait::{Giver, Kind, WaitReason};
use core::future::Future;
use core::pin::pin;
use core::ptr;
use core::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

static KIND: Kind = Kind::new(WaitReason::Future, Giver::Anybody);

/// Runs a future to completion on the running fiber, which waits while the future is pending.
///
/// If a future wakes itself while it is polled, the other ready fibers of the same priority run
/// once before it is polled again, as with [`yield_now`]. An executor, or a loop of
/// `yield_now().await`, therefore does not starve other fibers of its priority.
///
/// The waker holds the fiber's own address, so cloning it costs nothing. A waker that is called
/// after its fiber has ended does nothing in most cases: once in 64 times that the cell is used
/// again, it may cause one superfluous poll of the next fiber there, which every wait tolerates.
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
/// Callable from: fiber. Blocks: the fiber. Cancelling the fiber does not end it; the future can
/// ask.
#[track_caller]
pub fn block_on<F: Future>(future: F) -> F::Output {
    // Rule 3 of the model: whatever the future does, this fiber stays the one around it.
    let fiber = current::waiting_fiber();
    // SAFETY: it runs.
    let state = unsafe { &(*fiber).state };
    // SAFETY: it runs.
    let data = data_of(fiber, unsafe { (*fiber).state.generation() });
    // SAFETY: the functions of the table do what `RawWaker` asks; the data is not owned.
    let waker = unsafe { Waker::new(data, &TABLE) };
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            // An outer `block_on` may have been notified, and this one may have consumed that.
            // SAFETY: it runs.
            let _is_alive = unsafe { FiberId::of(fiber) }.signal::<NOTIFIED>();
            return output;
        }
        if state.take_notification() {
            yield_now();
        } else {
            // The future may have forbidden waiting without allowing it again.
            let _may_still_wait = current::waiting_fiber();
            wait_shielded(fiber, &KIND, ptr::null(), || state.take_notification());
        }
    }
}

static TABLE: RawWakerVTable =
    RawWakerVTable::new(|data| RawWaker::new(data, &TABLE), wake, wake, |_data| {});

/// The bits of a header's address that are free for a part of the generation.
const TAG: usize = align_of::<Header>() - 1;

/// Returns what a waker keeps of a fiber: the address of its header, with the last bits of its
/// generation in the bits that the alignment leaves free.
fn data_of(fiber: *const Header, generation: u32) -> *const () {
    fiber
        .map_addr(|address| address | generation as usize & TAG)
        .cast()
}

/// Tells the fiber at `data` to poll again, if it is still the one for which the waker was made.
unsafe fn wake(data: *const ()) {
    let fiber: *const Header = data.map_addr(|address| address & !TAG).cast();
    // SAFETY: `block_on` made it of a header in a cell, which stays readable for good.
    let generation = unsafe { (*fiber).state.generation() };
    if ptr::eq(data_of(fiber, generation), data) {
        // SAFETY: as above.
        let _is_alive = unsafe { FiberId::new(fiber, generation) }.signal::<NOTIFIED>();
    }
}
