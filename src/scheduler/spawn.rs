//! Spawns a fiber: the layout of its cell, and what happens when it ends.
//!
//! ```text
//!          ┌──────────────────┐
//!          │ extra            │  who joins, fiber locals
//!          │ header           │  what the run loop knows
//!   top ─► ├──────────────────┤
//!          │ result           │  written by the fiber, read by the join handle
//!          │ handle, closure  │  the cell's handle, which is given back at the end;
//!          │                  │  the closure, which is moved out at the start
//!          ├──────────────────┤ ◄─ first stack pointer
//! ```

pub(crate) mod builder;
pub(crate) mod cell;
pub(crate) mod join;
pub(crate) mod local;
pub(crate) mod scope;

use crate::context::{ControlBlock, Payload};
use crate::scheduler::cpu::current;
use crate::scheduler::report::failure::Failure;
use crate::scheduler::run_loop::RunLoop;
#[cfg(feature = "smp")]
use crate::scheduler::run_loop::wake;
#[cfg(not(feature = "smp"))]
use crate::scheduler::run_loop::wake::wake_from_elsewhere;
use crate::scheduler::spawn::builder::{Builder, CellSource, SpawnError, SpawnErrorKind};
use crate::scheduler::spawn::cell::FiberStorage;
use crate::scheduler::spawn::join::JoinHandle;
use crate::scheduler::task::control::{Extra, below, result_of};
use crate::scheduler::task::header::Header;
use crate::scheduler::task::id::FiberId;
use crate::scheduler::task::owner;
use crate::scheduler::task::scope_count::ScopeCount;
use crate::stack::{FLOOR_BYTES, STACK_ALIGN, StackHandle, StackMemory, Storage};
use crate::trace::points;
use core::mem::needs_drop;
use core::ptr;
use core::sync::atomic::Ordering;

/// Returns the place of the handle on the cell.
fn cell_of<C: FiberStorage, T>(header: *const Header) -> *mut StackHandle<C> {
    below(result_of::<T>(header))
}

/// Returns the place of the closure.
fn closure_of<C: FiberStorage, F, T>(header: *const Header) -> *mut F {
    below(cell_of::<C, T>(header))
}

/// Returns the bytes of stack that all this needs, plus a few for frames. Closure and result are
/// moved, so each counts twice.
const fn needed_bytes<C: FiberStorage, F, T>() -> usize {
    const FRAMES: usize = 512;
    let once = size_of::<T>() + size_of::<StackHandle<C>>() + size_of::<F>();
    let alignment = align_of::<T>() + align_of::<StackHandle<C>>() + align_of::<F>() + STACK_ALIGN;
    once + size_of::<F>() + size_of::<T>() + alignment + FLOOR_BYTES + FRAMES
}

/// Spawns a fiber and puts it into the ready queue, or into the inbox if the caller is not the
/// owner.
///
/// # Safety
///
/// Closure and result may be used on the core that runs the loop, until the result was taken.
#[inline]
pub(crate) unsafe fn spawn<H: CellSource, F: FnOnce() -> T, T>(
    builder: Builder,
    source: H,
    closure: F,
) -> Result<JoinHandle<T>, SpawnError<F>> {
    // SAFETY: the caller's promise.
    unsafe { spawn_in(builder, source, closure, ptr::null()) }
}

/// Spawns a fiber as [`spawn`] does, in a scope that is told when the fiber has finished, unless it
/// is null.
///
/// # Safety
///
/// As for [`spawn`]. In addition, the scope does not end before it was told.
#[inline]
pub(crate) unsafe fn spawn_in<H: CellSource, F: FnOnce() -> T, T>(
    builder: Builder,
    source: H,
    closure: F,
    scope: *const ScopeCount,
) -> Result<JoinHandle<T>, SpawnError<F>> {
    const {
        assert!(
            needed_bytes::<H::Cell, F, T>() <= H::Cell::SIZE_BYTES,
            "the closure, or its result, is too large for this cell: use a larger one or capture references"
        );
    }
    let cell = match source.take() {
        Ok(cell) => cell,
        Err(kind) => return Err(SpawnError { closure, kind }),
    };
    let bounds = cell.bounds();
    let header: *const Header = bounds.top().cast_const().cast();
    let addressed = Header::addressed_by_itself(header);
    // SAFETY: `FiberStorage` promises a control block there.
    let fiber = unsafe { &*addressed };
    #[cfg(not(feature = "smp"))]
    let (run_loop, is_first) = (
        builder.run_loop,
        fiber.set_run_loop(builder.run_loop.address()),
    );
    #[cfg(feature = "smp")]
    let (run_loop, is_first) = {
        // SAFETY: it is a header, which stays readable.
        let before = unsafe { Header::loop_address(header) };
        let is_ours = before.is_null() || builder.run_loop.team().has(before);
        (builder.place(), is_ours.then_some(before.is_null()))
    };
    let Some(is_first) = is_first else {
        let kind = SpawnErrorKind::OtherScheduler;
        return Err(SpawnError { closure, kind });
    };
    #[cfg(feature = "smp")]
    fiber.change_run_loop(run_loop.address());
    // SAFETY: S1, and the check above: the place is in the stack, which is ours.
    unsafe { cell_of::<H::Cell, T>(header).write(cell) };
    let place = closure_of::<H::Cell, F, T>(header);
    // SAFETY: as above.
    unsafe { place.write(closure) };
    let sp = place
        .cast::<u8>()
        .map_addr(|address| address.min(result_of::<Failure>(header).addr()) & !(STACK_ALIGN - 1));
    // SAFETY: C1, C3: the memory is the fiber's until its end, and `body` does not unwind (it is
    // `extern "sysv64"`).
    unsafe { ControlBlock::init(Header::block(addressed), sp, body::<H::Cell, F, T>) };
    // SAFETY: it is a cell's.
    let extra = unsafe { Extra::of(addressed) };
    extra.scope.set(scope);
    extra.joiner.begin();
    // Rule 8: this fiber finds nothing that the last one left, such as a guard or a suspended
    // `Fiber` that it leaked. (Locals are unbound however a fiber ends.)
    extra.wanted.set(ptr::null());
    #[cfg(feature = "smp")]
    extra.lending.begin(builder.priority.level());
    extra.longest_run.store(0, Ordering::Relaxed);
    fiber.end.set(Some(end::<H::Cell, T>));
    fiber.set_name(builder.name);
    // Rule 8 too. It lies beside the two levels, and is written with them.
    fiber.shields.set(0);
    fiber.level.set(builder.priority.level());
    fiber.own_level.set(builder.priority.level());
    fiber.dispatches().set(0);
    fiber.set_stack(bounds);
    let is_owner = run_loop.is_owner();
    #[cfg(not(feature = "smp"))]
    let generation = fiber.state.begin(is_owner);
    #[cfg(feature = "smp")]
    let generation = fiber.state.begin_as(is_owner, builder.is_pinned);
    fiber.tag.set(owner::tag_of(generation));
    points::spawn(header, generation, builder.name);
    // SAFETY: the fiber is complete, and in no queue.
    unsafe { run_loop.adopt(addressed, is_first, is_owner) };
    // SAFETY: cells are statics.
    Ok(JoinHandle::new(unsafe { FiberId::new(header, generation) }))
}

/// The body of a fiber, which calls the closure.
///
/// # Safety
///
/// Called by the first switch to a fiber that [`spawn`] made with these types.
unsafe extern "sysv64" fn body<C: FiberStorage, F: FnOnce() -> T, T>(
    _payload: Payload,
    block: *mut ControlBlock,
) -> Payload {
    let header: *const Header = block.cast_const().cast();
    if cfg!(any(miri, kfiber_threads)) {
        // SAFETY: it runs. (See `RunLoop::switch`.)
        unsafe { current::set_first(header) };
    }
    // SAFETY: `spawn` put it there, and this runs once.
    let closure = unsafe { closure_of::<C, F, T>(header).read() };
    let all = || {
        let result = closure();
        current::check_end();
        // SAFETY: the closure has returned this.
        unsafe { deliver(header, result) };
    };
    #[cfg(not(feature = "smp"))]
    // SAFETY: the header is ours.
    let run_loop = unsafe { RunLoop::of(header) };
    #[cfg(not(target_os = "linux"))]
    all();
    #[cfg(target_os = "linux")]
    let has_failed = crate::scheduler::fail::unwound::call(all).is_none();
    // The closure may have moved to another core.
    #[cfg(feature = "smp")]
    // SAFETY: the header is ours.
    let run_loop = unsafe { RunLoop::of(header) };
    #[cfg(target_os = "linux")]
    if has_failed {
        // SAFETY: a fiber runs in its loop, as its owner.
        return unsafe { run_loop.exit(header) };
    }
    // SAFETY: it is a cell's.
    let extra = unsafe { Extra::of(header) };
    // With several cores the scope is told in `end`: its owner, on another core, could otherwise find
    // the cell in use still.
    #[cfg(not(feature = "smp"))]
    // SAFETY: a scope waits for its fibers.
    if let Some(scope) = unsafe { extra.scope.get().as_ref() } {
        extra.scope.set(ptr::null());
        scope.tell();
    }
    #[cfg(feature = "smp")]
    extra.place.set(close_for_joiner(extra, run_loop));
    #[cfg(not(feature = "smp"))]
    if let Some(joiner) = extra.joiner.fiber()
        // SAFETY: headers stay readable for good.
        && ptr::eq(unsafe { RunLoop::of(joiner) }, run_loop)
    {
        // The joiner waits, so it cannot withdraw; and it does not run before we have left and
        // finished.
        extra.joiner.close();
        // SAFETY: it waits for us, in the loop whose owner we are.
        unsafe { run_loop.wake_own(joiner) };
    }
    // SAFETY: a fiber runs in its loop, as its owner.
    unsafe { run_loop.exit(header) }
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

/// Puts the result in its place, calls the waker of whoever polls for the fiber's end, and drops
/// the result if nobody will take it. All code of the kernel that belongs to the end of a fiber
/// runs here, in the fiber, before any switch. A panic of that code is the fiber's own, and the
/// code may wait.
///
/// # Safety
///
/// The closure of the fiber with this header, which runs, has returned the result.
#[inline(always)]
unsafe fn deliver<T>(header: *const Header, result: T) {
    // SAFETY: it is a cell's.
    let extra = unsafe { Extra::of(header) };
    let place = result_of::<T>(header);
    // SAFETY: the place is for the result, and nobody reads it before the state says that it is
    // there.
    unsafe { place.write(result) };
    if needs_drop::<T>() {
        extra.has_result.set(true);
    }
    extra.joiner.call_waker();
    // SAFETY: it runs.
    if needs_drop::<T>() && unsafe { (*header).state.has_returned() } {
        extra.has_result.set(false);
        // SAFETY: it is there, and nobody else will drop it.
        unsafe { place.drop_in_place() };
    }
}

/// Finishes a fiber that has left its stack permanently. Its successor calls this: it wakes a fiber
/// that joins on another core, or gives the cell back if there is no handle any more. No code of
/// the kernel runs here, because a switch is still in progress.
///
/// # Safety
///
/// The header is that of a fiber of these types that has left its stack permanently.
unsafe extern "sysv64" fn end<C: FiberStorage, T>(block: *mut ControlBlock) {
    let header: *const Header = block.cast_const().cast();
    // SAFETY: alive until its cell is given back.
    let fiber = unsafe { &*header };
    fiber.end.set(Some(give_back::<C, T>));
    // Whoever has the handle, perhaps on another core, may take the result and use the cell again
    // as soon as the fiber has finished. This is therefore the last look at the control block.
    // SAFETY: it is a cell's.
    #[cfg(all(not(target_os = "linux"), not(feature = "smp")))]
    let joiner = unsafe { Extra::of(header) }.joiner.fiber();
    // A joiner of another thread may have given up, and come back.
    #[cfg(all(target_os = "linux", not(feature = "smp")))]
    // SAFETY: it is a cell's.
    let joiner = unsafe { Extra::of(header) }.joiner.end_late();
    #[cfg(feature = "smp")]
    // SAFETY: it is a cell's.
    let joiner = Some(unsafe { Extra::of(header) }.place.get()).filter(|it| !it.is_null());
    #[cfg(feature = "smp")]
    // SAFETY: it is a cell's.
    let scope = unsafe { Extra::of(header) }.scope.replace(ptr::null());
    #[cfg(feature = "smp")]
    // SAFETY: the header is ours until it has finished.
    let team = unsafe { RunLoop::of(header) }.team();
    if fiber.state.finish() {
        #[cfg(feature = "smp")]
        fiber.state.await_end_of_look();
        // SAFETY: there is no handle any more, so nobody else gives it back.
        unsafe { give_back::<C, T>(block) };
    } else if let Some(joiner) = joiner {
        tell(joiner);
    }
    #[cfg(feature = "smp")]
    {
        // SAFETY: a scope waits for its fibers.
        if let Some(scope) = unsafe { scope.as_ref() } {
            scope.tell();
        }
        team.one_has_ended();
    }
}

/// Wakes a joiner of another loop.
#[cold]
#[inline(never)]
fn tell(joiner: *const Header) {
    // SAFETY: the joiner waits until the other fiber has finished. If it has noticed that already,
    // it may even have ended. Its header is then still a header, and the fiber that lives there now
    // gets one superfluous wake-up, which every wait tolerates.
    #[cfg(feature = "smp")]
    unsafe {
        wake(joiner);
    }
    #[cfg(not(feature = "smp"))]
    // SAFETY: as above.
    unsafe {
        wake_from_elsewhere(joiner);
    }
}

/// Gives back the cell of a fiber whose result was taken or dropped.
///
/// # Safety
///
/// As for [`end`]. It is called once for each fiber, and afterwards the memory may belong to
/// another.
unsafe extern "sysv64" fn give_back<C: FiberStorage, T>(block: *mut ControlBlock) {
    let header: *const Header = block.cast_const().cast();
    // SAFETY: `spawn` put it there, and nobody uses the memory any more.
    drop(unsafe { cell_of::<C, T>(header).read() });
}

/// Gives back the cell of a fiber.
///
/// # Safety
///
/// The fiber has finished. Its result was taken or dropped, or has no destructor. There is no
/// handle any more.
pub(super) unsafe fn give_cell_back(header: *const Header) {
    // SAFETY: the fiber's end left the function, and the call, to us.
    let give_back = unsafe { (*header).end.get() }.expect("set when it ended");
    // SAFETY: as above.
    unsafe { give_back(Header::block(header)) };
}

impl Builder {
    /// Spawns the fiber, which runs when its turn comes.
    ///
    /// # Errors
    ///
    /// Gives the closure back if there is no free cell. A closure that is too large for the cell's
    /// stack does not compile.
    ///
    /// # Context
    ///
    /// Callable from: fiber, interrupt, scheduler, any core. Blocks: nothing.
    #[inline]
    pub fn spawn<H, F, T>(self, source: H, closure: F) -> Result<JoinHandle<T>, SpawnError<F>>
    where
        H: CellSource,
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        // SAFETY: both may be sent to the core that runs the loop, and borrow nothing.
        unsafe { spawn(self, source, closure) }
    }
}
