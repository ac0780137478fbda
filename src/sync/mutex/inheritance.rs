//! Priority inheritance: the owner of a mutex is scheduled at the highest priority among those who wait for it.
//!
//! Each fiber has a list of the mutexes that it owns and fibers of its own loop wait for. From it the fiber's level is
//! computed afresh whenever something about one of them changes, and then, if the fiber itself waits for a mutex, its
//! owner's, and so on. All of that is rare, and costs in proportion to those who wait.
//!
//! - **H1**: a mutex is in the list of at most one fiber, and only while a fiber of the same loop waits for it; so it is
//!   alive, and in place. The list and the levels belong to the owner of the loop.
//! - A fiber whose own run loop is another one neither lends nor borrows: its level is not ours to touch.

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

/// The running fiber has entered the line of a mutex that `owner` has.
///
/// # Safety
///
/// The caller is in a fiber, and is its loop's owner.
pub(super) unsafe fn wanted(mutex: &RawMutex, owner: OwnerWord) {
    // SAFETY: the caller's promise.
    let run_loop = unsafe { RunLoop::of(current::get()) };
    let Some(owner) = ours(run_loop, owner) else {
        return;
    };
    list(mutex, owner);
    // SAFETY: it is of this loop, and has not ended.
    unsafe { adjust(run_loop, owner) };
}

/// `fiber` has left the line of a mutex without getting it.
///
/// # Safety
///
/// `fiber` runs, and the caller is its loop's owner.
pub(super) unsafe fn no_longer_wanted(mutex: &RawMutex, fiber: *const Header) {
    // SAFETY: the caller's promise.
    let run_loop = unsafe { RunLoop::of(fiber) };
    let Some(owner) = ours(run_loop, mutex.owner()).filter(|_| mutex.is_wanted.get()) else {
        return;
    };
    if mutex.line.with(|line| highest(line, run_loop)).is_none() {
        unlist(mutex, owner);
    }
    // SAFETY: it is of this loop, and has not ended.
    unsafe { adjust(run_loop, owner) };
}

/// `from`, which runs and has the mutex, is about to hand it over. Afterwards the mutex is another loop's to look at, perhaps.
///
/// # Safety
///
/// The caller is the owner of `from`'s loop.
pub(super) unsafe fn before_hand_over(mutex: &RawMutex, from: *const Header) {
    if mutex.is_wanted.get() {
        unlist(mutex, from);
        // SAFETY: it runs.
        let run_loop = unsafe { RunLoop::of(from) };
        // SAFETY: it runs in this loop.
        unsafe { adjust(run_loop, from) };
    }
}

/// `from`, which runs, has handed a mutex to `to`, or to nobody if that is null.
///
/// # Safety
///
/// The caller is the owner of `from`'s loop, and `to` was not yet woken.
pub(super) unsafe fn handed_over(mutex: &RawMutex, from: *const Header, to: *const Header) {
    // SAFETY: it runs.
    let run_loop = unsafe { RunLoop::of(from) };
    if is_ours(run_loop, to) && mutex.line.with(|line| highest(line, run_loop)).is_some() {
        list(mutex, to);
        // SAFETY: it is of this loop, and waits.
        unsafe { adjust(run_loop, to) };
    }
}

/// Whether a fiber is of this loop and has not ended.
fn is_ours(run_loop: &RunLoop, fiber: *const Header) -> bool {
    // SAFETY: headers stay readable for good.
    let Some(header) = (unsafe { fiber.as_ref() }) else {
        return false;
    };
    // SAFETY: it was alive when it locked the mutex.
    ptr::eq(unsafe { RunLoop::of(fiber) }, run_loop) && !header.state.is_finished()
}

/// An owner, if it is of this loop and has not ended.
fn ours(run_loop: &RunLoop, owner: OwnerWord) -> Option<*const Header> {
    let fiber = owner.fiber();
    (owner.is_current_generation() && is_ours(run_loop, fiber)).then_some(fiber)
}

/// The highest level among those of this loop that wait in a line.
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

/// Computes the level of a fiber afresh, and those that depend on it.
///
/// # Safety
///
/// The fiber is of this loop, alive, and has not ended; the caller is the owner, in a fiber.
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
