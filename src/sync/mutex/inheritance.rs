//! Priority inheritance: the owner of a mutex is scheduled at the highest priority among the fibers
//! that wait for it.
//!
//! Each fiber has a list of the mutexes that it owns and that fibers of its own loop wait for. When
//! something about one of these mutexes changes, the level of the fiber is recomputed from the
//! list. If the fiber itself waits for a mutex, the level of that mutex's owner is recomputed next,
//! and so on. All of this is rare, and its cost is proportional to the number of waiting fibers.
//!
//! - **H1**: a mutex is in the list of at most one fiber, and only while a fiber of the same loop
//!   waits for it. Therefore it is alive and stays in place. The list and the levels belong to the
//!   owner of the loop.
//! - A fiber of another run loop neither lends nor inherits, because only the owner of that loop
//!   may access its level.

use super::raw::RawMutex;
use crate::scheduler::WaitReason;
use crate::scheduler::cpu::current;
use crate::scheduler::run_loop::RunLoop;
use crate::scheduler::task::control::Extra;
use crate::scheduler::task::header::Header;
use crate::scheduler::task::owner::OwnerWord;
use crate::sync::line::Line;
use core::cell::Cell;
use core::ptr;

/// Updates the owner's level after the running fiber has entered the line of a mutex that `owner`
/// holds.
///
/// # Safety
///
/// The caller must run in a fiber, and be the owner of its loop.
pub(super) unsafe fn wanted(mutex: &RawMutex, owner: OwnerWord) {
    // SAFETY: the caller's promise.
    let run_loop = unsafe { RunLoop::of(current::get()) };
    let Some(owner) = ours_still(run_loop, mutex, owner) else {
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
pub(super) unsafe fn no_longer_wanted(mutex: &RawMutex, fiber: *const Header) {
    // SAFETY: the caller's promise.
    let run_loop = unsafe { RunLoop::of(fiber) };
    let owner = ours_still(run_loop, mutex, mutex.owner());
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
pub(super) unsafe fn before_hand_over(mutex: &RawMutex, from: *const Header) {
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
pub(super) unsafe fn handed_over(mutex: &RawMutex, from: *const Header, to: *const Header) {
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

/// Returns the owner of a mutex, if it belongs to this loop and has not ended. `owner` was read
/// before.
///
/// A fiber that had the mutex on another core may have unlocked it since, and then have moved here.
/// A fiber of this loop cannot do so: it does not run, since the caller does. (With one core no
/// fiber moves.)
fn ours_still(run_loop: &RunLoop, mutex: &RawMutex, owner: OwnerWord) -> Option<*const Header> {
    let still_has_it = |fiber: &*const Header| {
        cfg!(not(feature = "smp")) || ptr::eq(mutex.owner().fiber(), *fiber)
    };
    ours(run_loop, owner).filter(still_has_it)
}

/// Returns the highest level among the fibers of this loop that wait in a line.
fn highest(line: &Line, run_loop: &RunLoop) -> Option<u8> {
    line.iter()
        .filter(|waiter| is_ours(run_loop, waiter.fiber))
        // SAFETY: it waits, so it is alive; it is of our loop.
        .map(|waiter| unsafe { (*waiter.fiber).level.get() })
        .max()
}

const fn wanted_of<'a>(fiber: *const Header) -> &'a Cell<*const ()> {
    // SAFETY: only fibers own mutexes, so the header is a cell's.
    unsafe { &Extra::of(fiber).wanted }
}

fn list(mutex: &RawMutex, owner: *const Header) {
    if !mutex.is_wanted.replace(true) {
        let first = wanted_of(owner);
        mutex.next_wanted.set(first.get().cast());
        first.set(ptr::from_ref(mutex).cast());
    }
}

fn unlist(mutex: &RawMutex, owner: *const Header) {
    mutex.is_wanted.set(false);
    let first = wanted_of(owner);
    if ptr::eq(first.get().cast(), mutex) {
        first.set(mutex.next_wanted.get().cast());
        return;
    }
    // SAFETY: H1.
    let mut at = unsafe { first.get().cast::<RawMutex>().as_ref() };
    while let Some(before) = at {
        if ptr::eq(before.next_wanted.get(), mutex) {
            before.next_wanted.set(mutex.next_wanted.get());
            return;
        }
        // SAFETY: H1.
        at = unsafe { before.next_wanted.get().as_ref() };
    }
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
