//! The end of a fiber whose closure has returned: the result goes to its place, whoever waits is
//! told, and the cell is given back.
//!
//! ```text
//!   on the fiber's stack          deliver     the result, wakers, the result's destructor if nobody takes it
//!                                 finish      the joiner, if this loop runs it; then the switch for good
//!   on the stack of the next one  end         the state word; a joiner of another loop, or the cell
//! ```

#[cfg(all(not(target_os = "linux"), not(feature = "smp")))]
use super::joined;
use crate::context::{ControlBlock, Payload};
use crate::scheduler::cpu::current;
use crate::scheduler::run_loop::RunLoop;
#[cfg(feature = "smp")]
use crate::scheduler::run_loop::wake;
#[cfg(not(feature = "smp"))]
use crate::scheduler::run_loop::wake::wake_from_elsewhere;
use crate::scheduler::task::control::{Extra, result_of};
use crate::scheduler::task::header::Header;
use crate::stack;
use core::mem::needs_drop;
use core::ptr;

/// Whether a panic of a waker, which is called when a fiber ends, must come before the end of what
/// catches the panics of the fiber.
const MUST_CALL_WAKERS_FIRST: bool = cfg!(any(target_os = "linux", feature = "smp"));

/// Puts the result in its place, calls the waker of whoever polls for the fiber's end, and drops
/// the result if nobody will take it. All code of the kernel that belongs to the end of a fiber
/// runs here or at the beginning of [`finish`], in the fiber, before any switch. A panic of that
/// code is the fiber's own, and the code may wait. If it leaves a state in which the next fiber could
/// not wait, that is a failure of this fiber too.
///
/// # Safety
///
/// The closure of the fiber with this header, which runs, has returned the result.
#[inline(always)]
pub(super) unsafe fn deliver<T>(header: *const Header, result: T) {
    // SAFETY: it is a cell's.
    let extra = unsafe { Extra::of(header) };
    let place = result_of::<T>(header);
    // SAFETY: the place is for the result, and nobody reads it before the state says that it is
    // there.
    unsafe { place.write(result) };
    if needs_drop::<T>() {
        extra.has_result.set(true);
    }
    if MUST_CALL_WAKERS_FIRST || needs_drop::<T>() {
        let _joiner = extra.joiner.call_waker(current::check_end);
    }
    // SAFETY: it runs.
    if needs_drop::<T>() && unsafe { (*header).state.has_returned() } {
        extra.has_result.set(false);
        // It leaves its place, where a failure would be noted: its destructor may fail while the
        // fibers of a scope borrow from it.
        // SAFETY: it is there, and nobody else will drop it.
        drop(unsafe { place.read() });
        current::check_end();
    }
}

/// Tells the scope of a fiber that the fiber no longer uses what it borrowed. With several cores
/// [`end`] does this: the scope's owner, on another core, could otherwise find the cell in use still.
///
/// # Safety
///
/// The fiber runs, its result was delivered, and a scope waits for it.
#[cfg(not(feature = "smp"))]
pub(super) unsafe fn tell_scope(header: *const Header) {
    // SAFETY: it is a cell's.
    let place = unsafe { &Extra::of(header).scope };
    // SAFETY: the scope waits for its fibers.
    let scope = unsafe { &*place.get() };
    place.set(ptr::null());
    scope.one_is_done();
}

/// Ends the running fiber, whose result was delivered.
///
/// # Safety
///
/// It runs, as the owner of its loop. Nothing on its stack is needed any more, except the result.
#[cfg(all(not(target_os = "linux"), not(feature = "smp")))]
#[inline(always)]
pub(super) unsafe fn finish(header: *const Header) -> Payload {
    // SAFETY: it is a cell's.
    if unsafe { Extra::of(header).joiner.refuse_if_empty() } {
        // SAFETY: the caller's promise.
        unsafe { finish_alone(header) }
    } else {
        // SAFETY: the caller's promise, and there is a joiner.
        unsafe { joined::finish(header) }
    }
}

/// Ends the running fiber, which nobody joins.
///
/// # Safety
///
/// The requirements of [`finish`] apply.
#[cfg(all(not(target_os = "linux"), not(feature = "smp")))]
#[inline(never)]
unsafe fn finish_alone(header: *const Header) -> Payload {
    // SAFETY: the header is ours.
    let run_loop = unsafe { RunLoop::of(header) };
    // SAFETY: a fiber runs in its loop, as its owner.
    unsafe { run_loop.exit(header, end) }
}

/// Ends the running fiber, whose result was delivered.
///
/// The function returns only with threads as fibers: it returns what the thread then returns.
///
/// # Safety
///
/// It runs, as the owner of its loop. Nothing on its stack is needed any more, except the result.
#[cfg(all(target_os = "linux", not(feature = "smp")))]
pub(super) use finish_and_wake as finish;

/// Ends the running fiber, whose result was delivered, and wakes whoever joins it.
///
/// The function returns only with threads as fibers: it returns what the thread then returns.
///
/// # Safety
///
/// It runs, as the owner of its loop. Nothing on its stack is needed any more, except the result.
#[cfg(not(feature = "smp"))]
#[inline(never)]
pub(super) unsafe fn finish_and_wake(header: *const Header) -> Payload {
    // SAFETY: the header is ours.
    let run_loop = unsafe { RunLoop::of(header) };
    // SAFETY: it is a cell's.
    let place = unsafe { &Extra::of(header).joiner };
    let joiner = if MUST_CALL_WAKERS_FIRST {
        place.fiber()
    } else {
        place.call_waker(current::check_end)
    };
    if let Some(joiner) = joiner {
        // SAFETY: headers stay readable for good.
        if !ptr::eq(unsafe { RunLoop::of(joiner) }, run_loop) {
            // SAFETY: the caller's promise.
            return unsafe { finish_and_tell(run_loop, header) };
        }
        // The joiner waits, so it cannot withdraw; and it does not run before we have left and
        // finished. `end` must not tell it again where it looks.
        #[cfg(target_os = "linux")]
        place.close();
        // SAFETY: it waits for us, in the loop whose owner we are.
        unsafe { run_loop.wake_own(joiner) };
    }
    // SAFETY: a fiber runs in its loop, as its owner.
    unsafe { run_loop.exit(header, end) }
}

/// Ends the running fiber, whose joiner is of another loop.
///
/// # Safety
///
/// The requirements of [`finish`] apply.
#[cfg(not(feature = "smp"))]
#[cold]
#[inline(never)]
unsafe fn finish_and_tell(run_loop: &RunLoop, header: *const Header) -> Payload {
    // SAFETY: a fiber runs in its loop, as its owner.
    unsafe { run_loop.exit(header, end_and_tell) }
}

/// Ends the running fiber, whose result was delivered.
///
/// The function returns only with threads as fibers: it returns what the thread then returns.
///
/// # Safety
///
/// It runs, as the owner of its loop. Nothing on its stack is needed any more, except the result.
#[cfg(feature = "smp")]
#[inline(never)]
pub(super) unsafe fn finish(header: *const Header) -> Payload {
    // The closure may have moved to another core.
    // SAFETY: the header is ours.
    let run_loop = unsafe { RunLoop::of(header) };
    // SAFETY: it is a cell's.
    let extra = unsafe { Extra::of(header) };
    extra.place.set(close_for_joiner(extra, run_loop));
    // SAFETY: a fiber runs in its loop, as its owner.
    unsafe { run_loop.exit(header, end) }
}

/// Closes the place of the joiner, which cannot withdraw from here on. Returns the joiner that is to
/// be woken once the running fiber has finished, or null.
///
/// A joiner of the same loop is woken at once. It stays in this loop's rings until the fiber has
/// left, because a fiber that ends gives no others away. One of another loop could run before that.
#[cfg(feature = "smp")]
#[inline(always)]
fn close_for_joiner(extra: &Extra, run_loop: &RunLoop) -> *const Header {
    match extra.joiner.end_late() {
        // SAFETY: headers stay readable for good.
        Some(joiner) if ptr::eq(unsafe { RunLoop::of(joiner) }, run_loop) => {
            // SAFETY: it waits for us.
            unsafe { wake(joiner) };
            ptr::null()
        }
        Some(joiner) => joiner,
        None => ptr::null(),
    }
}

/// Finishes a fiber that has left its stack permanently. Its successor calls this: it gives the cell
/// back if there is no handle any more. No code of the kernel runs here, because a switch is still
/// in progress.
///
/// # Safety
///
/// The block is that of a fiber that has left its stack permanently, after [`finish`].
#[cfg(all(not(target_os = "linux"), not(feature = "smp")))]
unsafe extern "sysv64" fn end(block: *mut ControlBlock) {
    let header: *const Header = block.cast_const().cast();
    // Whoever has the handle, in an interrupt handler, may take the result and use the cell again as
    // soon as the fiber has finished.
    // SAFETY: alive until its cell is given back.
    if unsafe { (*header).state.finish() } {
        // SAFETY: there is no handle any more, so nobody else gives it back.
        unsafe { give_cell_back(header) };
    }
}

/// Behaves like [`end`], for a fiber whose joiner is of another loop, and has to be told.
///
/// # Safety
///
/// The requirements of [`end`] apply, and there is a joiner.
#[cfg(all(not(target_os = "linux"), not(feature = "smp")))]
unsafe extern "sysv64" fn end_and_tell(block: *mut ControlBlock) {
    let header: *const Header = block.cast_const().cast();
    // SAFETY: it is a cell's. It is looked at before the fiber has finished: see `end`.
    let joiner = unsafe { Extra::of(header) }.joiner.fiber();
    // SAFETY: the caller's promise.
    unsafe { end(block) };
    if let Some(joiner) = joiner {
        tell(joiner);
    }
}

/// Finishes a fiber that has left its stack permanently. Its successor calls this: it wakes a fiber
/// of another loop that joins, or gives the cell back if there is no handle any more. No code of the
/// kernel runs here, because a switch is still in progress.
///
/// # Safety
///
/// The block is that of a fiber that has left its stack permanently, after [`finish`].
#[cfg(any(target_os = "linux", feature = "smp"))]
unsafe extern "sysv64" fn end(block: *mut ControlBlock) {
    let header: *const Header = block.cast_const().cast();
    // SAFETY: alive until its cell is given back.
    let fiber = unsafe { &*header };
    // Whoever has the handle, perhaps on another core, may take the result and use the cell again
    // as soon as the fiber has finished. This is therefore the last look at the control block.
    // SAFETY: it is a cell's.
    let extra = unsafe { Extra::of(header) };
    // A joiner of another thread may have given up, and come back.
    #[cfg(not(feature = "smp"))]
    let joiner = extra.joiner.end_late();
    #[cfg(feature = "smp")]
    let joiner = Some(extra.place.get()).filter(|it| !it.is_null());
    #[cfg(feature = "smp")]
    let scope = extra.scope.replace(ptr::null());
    #[cfg(feature = "smp")]
    // SAFETY: the header is ours until it has finished.
    let team = unsafe { RunLoop::of(header) }.team();
    if fiber.state.finish() {
        #[cfg(feature = "smp")]
        fiber.state.await_end_of_look();
        // SAFETY: there is no handle any more, so nobody else gives it back.
        unsafe { give_cell_back(header) };
    } else if let Some(joiner) = joiner {
        tell(joiner);
    }
    #[cfg(feature = "smp")]
    {
        // SAFETY: a scope waits for its fibers.
        if let Some(scope) = unsafe { scope.as_ref() } {
            scope.one_is_done();
        }
        team.one_has_ended();
    }
}

#[cfg(all(target_os = "linux", not(feature = "smp")))]
use end as end_and_tell;

/// Wakes a joiner that runs on another core.
#[cold]
#[inline(never)]
fn tell(joiner: *const Header) {
    // SAFETY: the joiner waits until the other fiber has finished. If it has noticed that already,
    // it may even have ended. Its header is then still a header, and the fiber that lives there now
    // gets one superfluous wake-up, which every wait tolerates.
    #[cfg(feature = "smp")]
    unsafe {
        wake(joiner);
    };
    // SAFETY: as above.
    #[cfg(not(feature = "smp"))]
    unsafe {
        wake_from_elsewhere(joiner);
    };
}

/// Gives back the cell of a fiber, whose handle `spawn` forgot.
///
/// # Safety
///
/// The fiber has finished, and has not failed (**X1**). Its result was taken or dropped, or has no
/// destructor. There is no join handle any more. It is called once for each fiber, and afterwards
/// the memory may belong to another.
#[inline(always)]
pub(super) unsafe fn give_cell_back(header: *const Header) {
    // SAFETY: a fiber lived there, so the bottom of its stack was set.
    let bottom = unsafe { (*header).stack_bottom.get() };
    // SAFETY: `spawn` forgot the handle of the cell with this stack; the rest is the caller's
    // promise.
    unsafe { stack::give_back(bottom) };
}
