//! Spawns a fiber: the layout of its cell, and what of it is new for each fiber.
//!
//! ```text
//!          ┌──────────────────┐
//!          │ extra            │  who joins, fiber locals
//!          │ header           │  what the run loop knows
//!   top ─► ├──────────────────┤
//!          │ result           │  written by the fiber, read by the join handle
//!          │ closure          │  moved out at the start
//!          ├──────────────────┤ ◄─ first stack pointer
//! ```
//!
//! A cell that had a fiber before is found as that fiber left it. [`enrol`] has set what is the same
//! for all fibers of the cell, and a spawn sets what is not.

pub(crate) mod builder;
pub(crate) mod cell;
mod end;
pub(crate) mod join;
mod joined;
pub(crate) mod local;
pub(crate) mod scope;

use crate::context::{ControlBlock, Payload};
use crate::scheduler::cpu::current;
use crate::scheduler::report::failure::Failure;
use crate::scheduler::run_loop::RunLoop;
use crate::scheduler::spawn::builder::{Builder, CellSource, SpawnError, SpawnErrorKind};
use crate::scheduler::spawn::join::JoinHandle;
use crate::scheduler::task::control::{Extra, below, result_of};
use crate::scheduler::task::header::Header;
use crate::scheduler::task::id::FiberId;
use crate::scheduler::task::owner;
use crate::scheduler::task::scope_count::ScopeCount;
use crate::stack::{FLOOR_BYTES, STACK_ALIGN, StackMemory, Storage};
use crate::trace::points;
use core::mem::ManuallyDrop;
use core::ptr;

/// Returns the place of the closure.
fn closure_of<F, T>(header: *const Header) -> *mut F {
    below(result_of::<T>(header))
}

/// Returns the bytes of stack that all this needs, plus a few for frames. Closure and result are
/// moved, so each counts twice.
const fn needed_bytes<F, T>() -> usize {
    const FRAMES: usize = 512;
    let alignment = align_of::<T>() + align_of::<F>() + STACK_ALIGN;
    2 * (size_of::<F>() + size_of::<T>()) + alignment + FLOOR_BYTES + FRAMES
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
    unsafe { spawn_in::<_, _, _, false>(builder, source, closure, ptr::null()) }
}

/// Spawns a fiber as [`spawn`] does, in a scope that is told when the fiber has finished, if it is
/// `SCOPED`.
///
/// # Safety
///
/// As for [`spawn`]. In addition, the scope does not end before it was told.
#[inline]
pub(crate) unsafe fn spawn_in<H: CellSource, F: FnOnce() -> T, T, const SCOPED: bool>(
    builder: Builder,
    source: H,
    closure: F,
    scope: *const ScopeCount,
) -> Result<JoinHandle<T>, SpawnError<F>> {
    const {
        assert!(
            needed_bytes::<F, T>() <= H::Cell::SIZE_BYTES,
            "the closure, or its result, is too large for this cell: use a larger one or capture references"
        );
    }
    let cell = match source.take() {
        Ok(cell) => cell,
        Err(kind) => return Err(SpawnError { closure, kind }),
    };
    let bounds = cell.bounds();
    let header: *const Header = bounds.top().cast_const().cast();
    let header = Header::addressed_by_itself(header);
    // SAFETY: it is a header, which stays readable.
    let before = unsafe { Header::loop_address(header) };
    #[cfg(not(feature = "smp"))]
    let (run_loop, is_ours) = (
        builder.run_loop,
        ptr::eq(before, builder.run_loop.address()),
    );
    #[cfg(feature = "smp")]
    let (run_loop, is_ours) = (builder.place(), builder.run_loop.team().has(before));
    let guard = Header::guard_pages_of(bounds);
    // SAFETY: `FiberStorage` promises a control block there, and the cell is ours.
    if !is_ours && unsafe { !enrol(run_loop, header, bounds.bottom(), guard) } {
        let kind = SpawnErrorKind::OtherScheduler;
        return Err(SpawnError { closure, kind });
    }
    // The end of the fiber gives the cell back.
    let _forgotten = ManuallyDrop::new(cell);
    // SAFETY: as above.
    let fiber = unsafe { &*header };
    #[cfg(feature = "smp")]
    fiber.change_run_loop(run_loop.address());
    let place = closure_of::<F, T>(header);
    // SAFETY: S1, and the check above: the place is in the stack, which is ours.
    unsafe { place.write(closure) };
    let sp = place
        .cast::<u8>()
        .map_addr(|address| address.min(result_of::<Failure>(header).addr()) & !(STACK_ALIGN - 1));
    // SAFETY: C1, C3: the memory is the fiber's until its end, and `body` does not unwind (it is
    // `extern "sysv64"`). `enrol` has marked the block.
    unsafe { ControlBlock::init_again(Header::block(header), sp, body::<F, T, SCOPED>) };
    // SAFETY: it is a cell's.
    let extra = unsafe { Extra::of(header) };
    debug_assert!(extra.scope.get().is_null(), "the last scope was told");
    if SCOPED {
        extra.scope.set(scope);
    }
    extra.joiner.begin();
    // Rule 8: this fiber finds nothing that the last one left, such as a guard or a suspended
    // `Fiber` that it leaked. (Locals are unbound however a fiber ends.)
    extra.wanted.set(ptr::null());
    let level = builder.priority.level();
    #[cfg(feature = "smp")]
    extra.lending.begin(level);
    fiber.renew(builder.name, level);
    #[cfg(feature = "smp")]
    let is_pinned = builder.is_pinned;
    #[cfg(not(feature = "smp"))]
    let is_pinned = false;
    #[cfg(not(feature = "smp"))]
    let generation = {
        let generation = begin(fiber, true, is_pinned);
        points::spawn(header, generation, builder.name);
        // SAFETY: the fiber is complete, and in no queue, and nobody knows its id yet.
        unsafe { run_loop.adopt_from_anywhere(header, level) };
        generation
    };
    #[cfg(feature = "smp")]
    let generation = if run_loop.is_owner() {
        let generation = begin(fiber, true, is_pinned);
        points::spawn(header, generation, builder.name);
        // SAFETY: the fiber is complete, and in no queue.
        unsafe { run_loop.adopt(header, level) };
        generation
    } else {
        // SAFETY: the fiber is complete but for its state, and in no queue.
        unsafe { begin_elsewhere(run_loop, header, is_pinned, builder.name) }
    };
    // SAFETY: cells are statics.
    Ok(JoinHandle::new(unsafe { FiberId::new(header, generation) }))
}

/// Makes a cell without a loop one of the scheduler's, before its first fiber. Returns false if it
/// belongs to another scheduler.
///
/// # Safety
///
/// The header is at the top of the stack with this bottom and this guard, and the caller has the
/// cell's handle.
#[cold]
#[inline(never)]
unsafe fn enrol(
    run_loop: &RunLoop,
    header: *const Header,
    bottom: *mut u8,
    guard_pages: u8,
) -> bool {
    // SAFETY: the caller's promise.
    if unsafe { !Header::loop_address(header).is_null() } {
        return false;
    }
    // SAFETY: as above.
    unsafe { (*header).found(run_loop.address(), bottom, guard_pages) };
    // SAFETY: C3: the block stays for good.
    unsafe { ControlBlock::mark_suspended(Header::block(header)) };
    // SAFETY: it had no loop, so it is in no list; a cell's header stays for good.
    unsafe { run_loop.team().all.push(header) };
    true
}

/// Begins the next generation of a header, and returns it.
#[inline(always)]
fn begin(fiber: &Header, is_ready: bool, is_pinned: bool) -> u32 {
    #[cfg(not(feature = "smp"))]
    let generation = fiber.state.begin(is_ready);
    #[cfg(feature = "smp")]
    let generation = fiber.state.begin_as(is_ready, is_pinned);
    #[cfg(not(feature = "smp"))]
    let _one_core = is_pinned;
    fiber.tag.set(owner::tag_of(generation));
    generation
}

/// Begins a fiber of a loop that the caller does not own. Returns its generation.
///
/// # Safety
///
/// The fiber is complete but for its state, and in no queue.
#[cfg(feature = "smp")]
#[cold]
#[inline(never)]
unsafe fn begin_elsewhere(
    run_loop: &RunLoop,
    header: *const Header,
    is_pinned: bool,
    name: &'static str,
) -> u32 {
    // SAFETY: the caller's promise.
    let generation = begin(unsafe { &*header }, false, is_pinned);
    points::spawn(header, generation, name);
    // SAFETY: as above.
    unsafe { run_loop.adopt_from_elsewhere(header) };
    generation
}

/// The body of a fiber, which calls the closure.
///
/// # Safety
///
/// Called by the first switch to a fiber that [`spawn`] made with these types.
unsafe extern "sysv64" fn body<F: FnOnce() -> T, T, const SCOPED: bool>(
    _payload: Payload,
    block: *mut ControlBlock,
) -> Payload {
    let header: *const Header = block.cast_const().cast();
    if cfg!(any(miri, kfiber_threads)) {
        // SAFETY: it runs. (See `RunLoop::switch`.)
        unsafe { current::set_first(header) };
    }
    // SAFETY: `spawn` put it there, and this runs once.
    let closure = unsafe { closure_of::<F, T>(header).read() };
    let all = || {
        let result = closure();
        current::check_end();
        // SAFETY: the closure has returned this.
        unsafe { end::deliver(header, result) };
    };
    #[cfg(not(target_os = "linux"))]
    all();
    #[cfg(target_os = "linux")]
    if crate::scheduler::fail::unwound::call(all).is_none() {
        // SAFETY: the header is ours.
        let run_loop = unsafe { RunLoop::of(header) };
        // SAFETY: a fiber runs in its loop, as its owner.
        return unsafe { run_loop.exit(header, crate::scheduler::fail::failing::stay) };
    }
    #[cfg(not(feature = "smp"))]
    if SCOPED {
        // SAFETY: it runs, and the scope waits for it.
        unsafe { end::tell_scope(header) };
    }
    // SAFETY: its result was delivered.
    unsafe { end::finish(header) }
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
