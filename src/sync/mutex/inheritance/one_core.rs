//! Inheritance within one core: everything is computed, and changed at once, by the owner of the
//! loop.
//!
//! - **H2**: the lists and the levels belong to the owner of the loop.

use super::{list, unlist, wanted_of};
use crate::scheduler::WaitReason;
use crate::scheduler::cpu::current;
use crate::scheduler::run_loop::RunLoop;
use crate::scheduler::task::header::Header;
use crate::scheduler::task::owner::OwnerWord;
use crate::sync::line::Line;
use crate::sync::mutex::raw::RawMutex;
use core::ptr;

/// Calls `enter`, which puts the running fiber into the line of a mutex and returns the owner, or
/// gives it the mutex. Updates the owner's level.
///
/// # Safety
///
/// The caller must run in this fiber, and be the owner of its loop.
#[inline(always)]
pub(in super::super) unsafe fn entering(
    mutex: &RawMutex,
    _fiber: *const Header,
    enter: impl FnOnce() -> Option<OwnerWord>,
) -> Option<OwnerWord> {
    let owner = enter()?;
    // SAFETY: the caller's promise.
    unsafe { wanted(mutex, owner) };
    Some(owner)
}

/// Calls `give`, by which the running owner `from` hands the mutex over, and which returns the next
/// owner, or null. Updates the levels of both.
///
/// # Safety
///
/// The caller must be the owner of `from`'s loop. The next owner must not be woken before this
/// returns.
#[inline(always)]
pub(in super::super) unsafe fn handing_over(
    mutex: &RawMutex,
    from: *const Header,
    give: impl FnOnce() -> *const Header,
) {
    // SAFETY: the caller's promise.
    unsafe { before_hand_over(mutex, from) };
    let next = give();
    // SAFETY: the caller's promise.
    unsafe { handed_over(mutex, from, next) };
}

/// Calls `take`, by which the running fiber takes the mutex from an owner that has failed. It
/// returns the next owner, or null, or `None` if there is nothing to take. Updates the level of the
/// next owner.
///
/// # Safety
///
/// The caller must be the owner of `fiber`'s loop. The next owner must not be woken before this
/// returns.
#[inline(always)]
pub(in super::super) unsafe fn taking(
    mutex: &RawMutex,
    fiber: *const Header,
    take: impl FnOnce() -> Option<*const Header>,
) -> bool {
    let next = take();
    if let Some(next) = next {
        // SAFETY: the caller's promise.
        unsafe { handed_over(mutex, fiber, next) };
    }
    next.is_some()
}

/// Updates the owner's level after the running fiber has entered the line of a mutex that `owner`
/// holds.
///
/// # Safety
///
/// The caller must run in a fiber, and be the owner of its loop.
unsafe fn wanted(mutex: &RawMutex, owner: OwnerWord) {
    // SAFETY: the caller's promise.
    let run_loop = unsafe { RunLoop::of(current::get()) };
    let Some(owner) = ours(run_loop, owner) else {
        return;
    };
    list(mutex, owner);
    // SAFETY: it is of this loop, and has not ended.
    unsafe { adjust(run_loop, owner) };
}

/// Updates the owner's level after `fiber` has left the line of a mutex without getting it.
///
/// # Safety
///
/// `fiber` must run, and the caller must be the owner of its loop.
pub(in super::super) unsafe fn no_longer_wanted(mutex: &RawMutex, fiber: *const Header) {
    // SAFETY: the caller's promise.
    let run_loop = unsafe { RunLoop::of(fiber) };
    let owner = ours(run_loop, mutex.owner());
    let Some(owner) = owner.filter(|_| mutex.is_wanted.get()) else {
        return;
    };
    if mutex.line.with(|line| highest(line, run_loop)).is_none() {
        unlist(mutex, owner);
    }
    // SAFETY: it is of this loop, and has not ended.
    unsafe { adjust(run_loop, owner) };
}

/// Prepares a hand-over of the mutex by its running owner `from`. Afterwards the mutex may belong
/// to another loop.
///
/// # Safety
///
/// The caller must be the owner of `from`'s loop.
unsafe fn before_hand_over(mutex: &RawMutex, from: *const Header) {
    if mutex.is_wanted.get() {
        unlist(mutex, from);
        // SAFETY: it runs.
        let run_loop = unsafe { RunLoop::of(from) };
        // SAFETY: it runs in this loop.
        unsafe { adjust(run_loop, from) };
    }
}

/// Completes a hand-over by the running fiber `from` to `to`, or to nobody if `to` is null.
///
/// # Safety
///
/// The caller must be the owner of `from`'s loop, and `to` must not have been woken yet.
unsafe fn handed_over(mutex: &RawMutex, from: *const Header, to: *const Header) {
    // SAFETY: it runs.
    let run_loop = unsafe { RunLoop::of(from) };
    if is_ours(run_loop, to) && mutex.line.with(|line| highest(line, run_loop)).is_some() {
        list(mutex, to);
        // SAFETY: it is of this loop, and waits.
        unsafe { adjust(run_loop, to) };
    }
}

/// Returns whether a fiber belongs to this loop and has not ended.
fn is_ours(run_loop: &RunLoop, fiber: *const Header) -> bool {
    // SAFETY: headers stay readable for good.
    let Some(header) = (unsafe { fiber.as_ref() }) else {
        return false;
    };
    // SAFETY: it was alive when it locked the mutex.
    ptr::eq(unsafe { RunLoop::of(fiber) }, run_loop) && !header.state.is_finished()
}

/// Returns the owner, if it belongs to this loop and has not ended.
fn ours(run_loop: &RunLoop, owner: OwnerWord) -> Option<*const Header> {
    let fiber = owner.fiber();
    (owner.is_current_generation() && is_ours(run_loop, fiber)).then_some(fiber)
}

/// Returns the highest level among the fibers of this loop that wait in a line.
fn highest(line: &Line, run_loop: &RunLoop) -> Option<u8> {
    line.iter()
        .filter(|waiter| is_ours(run_loop, waiter.fiber))
        // SAFETY: it waits, so it is alive; it is of our loop.
        .map(|waiter| unsafe { (*waiter.fiber).level.get() })
        .max()
}

/// Recomputes the level of a fiber, and the levels that depend on it.
///
/// # Safety
///
/// The fiber must belong to this loop, be alive, and not have ended. The caller must run in a
/// fiber, and be the owner of the loop.
unsafe fn adjust(run_loop: &RunLoop, fiber: *const Header) {
    let mut fiber = fiber;
    loop {
        // SAFETY: alive.
        let header = unsafe { &*fiber };
        let mut level = header.own_level.get();
        // SAFETY: H1.
        let mut at = unsafe { wanted_of(fiber).get().cast::<RawMutex>().as_ref() };
        while let Some(mutex) = at {
            let inherited = mutex.line.with(|line| highest(line, run_loop));
            level = level.max(inherited.unwrap_or(0));
            // SAFETY: H1.
            at = unsafe { mutex.next_wanted.get().as_ref() };
        }
        if level == header.level.get() {
            return;
        }
        // SAFETY: the caller's promise.
        unsafe { run_loop.set_level(fiber, level) };
        // SAFETY: the caller's promise.
        let wait = unsafe { header.waits_for() };
        let Some(wait) = wait.filter(|wait| wait.reason() == WaitReason::Mutex) else {
            return;
        };
        // SAFETY: what a fiber waits for is alive.
        let owner = unsafe { (*wait.object.cast::<RawMutex>()).owner() };
        let Some(owner) = ours(run_loop, owner) else {
            return;
        };
        fiber = owner;
    }
}
