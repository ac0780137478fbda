//! Inheritance between the fibers of all cores of a scheduler.
//!
//! Everything is computed inside the lock of [`lending`], in which a mutex that is waited for also
//! changes its owner, and fibers enter its line. The levels that are due come from there to the
//! loops, each of which changes those of its own fibers.
//!
//! - **H2**: the lists are accessed inside the lock (**N1**).
//! - **H3**: whoever waits for a mutex in its line leaves inside the lock, or was taken out by a
//!   hand-over inside the lock. So a fiber that waits there, and the mutex, stay as they are inside
//!   the lock. The owner of a mutex that is waited for keeps the mutex, since it can unlock only
//!   inside the lock; but it may have ended, if its guard was leaked, or it may have failed.

use super::{list, unlist, wanted_of};
use crate::scheduler::run_loop::lending::{self, Inside, Pin};
use crate::scheduler::run_loop::team::Team;
use crate::scheduler::task::control::Lending;
use crate::scheduler::task::header::Header;
use crate::scheduler::task::owner::OwnerWord;
use crate::sync::mutex::raw::RawMutex;
use core::cell::Cell;
use core::ptr;
use core::sync::atomic::Ordering;

/// Calls `enter`, which puts the running fiber into the line of a mutex and returns the owner, or
/// gives it the mutex. Updates the owner's level.
///
/// # Safety
///
/// The caller must run in this fiber, and be the owner of its loop.
pub(in super::super) unsafe fn entering(
    mutex: &RawMutex,
    fiber: *const Header,
    enter: impl FnOnce() -> Option<OwnerWord>,
) -> Option<OwnerWord> {
    let entering = |inside: &mut Inside| {
        let owner = enter()?;
        waits_on(fiber).set(ptr::from_ref(mutex).cast());
        if let Some(owner) = Pin::new(inside.team, owner) {
            list(mutex, owner.fiber());
            // SAFETY: it is held.
            unsafe { adjust(inside, owner.fiber(), Some(owner)) };
        }
        Some(owner)
    };
    // SAFETY: the caller's promise.
    unsafe { lending::inside(fiber, entering) }
}

/// Updates the owner's level after the running fiber has left the line of a mutex without getting
/// it.
///
/// # Safety
///
/// `fiber` must run, and the caller must be the owner of its loop.
pub(in super::super) unsafe fn no_longer_wanted(mutex: &RawMutex, fiber: *const Header) {
    let leaving = |inside: &mut Inside| {
        waits_on(fiber).set(ptr::null());
        if !mutex.is_wanted.get() {
            return;
        }
        let Some(owner) = Pin::new(inside.team, mutex.owner()) else {
            return;
        };
        if highest(mutex, inside.team).is_none() {
            unlist(mutex, owner.fiber());
        }
        // SAFETY: it is held.
        unsafe { adjust(inside, owner.fiber(), Some(owner)) };
    };
    // SAFETY: the caller's promise.
    unsafe { lending::inside(fiber, leaving) };
}

/// Calls `give`, by which the running owner `from` hands the mutex over, and which returns the next
/// owner, or null. Updates the levels of both.
///
/// # Safety
///
/// The caller must be the owner of `from`'s loop. The next owner must not be woken before this
/// returns.
pub(in super::super) unsafe fn handing_over(
    mutex: &RawMutex,
    from: *const Header,
    give: impl FnOnce() -> *const Header,
) {
    let handing_over = |inside: &mut Inside| {
        // What a fiber that has failed owns is taken away, and stays in its list, which nobody reads
        // any more. A waker that is told of its end may still lock and unlock in it.
        // SAFETY: it runs.
        let has_list = unsafe { !(*from).state.is_finished() };
        if has_list && mutex.is_wanted.get() {
            unlist(mutex, from);
        }
        let next = give();
        if has_list {
            // SAFETY: it runs.
            unsafe { adjust(inside, from, None) };
        }
        // SAFETY: it has not been woken yet.
        unsafe { handed_over(inside, mutex, next) };
    };
    // SAFETY: the caller's promise.
    unsafe { lending::inside(from, handing_over) };
}

/// Calls `take`, by which the running fiber takes the mutex from an owner that has failed. It
/// returns the next owner, or null, or `None` if there is nothing to take. Updates the level of the
/// next owner.
///
/// # Safety
///
/// The caller must be the owner of `fiber`'s loop. The next owner must not be woken before this
/// returns.
pub(in super::super) unsafe fn taking(
    mutex: &RawMutex,
    fiber: *const Header,
    take: impl FnOnce() -> Option<*const Header>,
) -> bool {
    let taking = |inside: &mut Inside| {
        let next = take();
        if let Some(next) = next {
            // SAFETY: it has not been woken yet.
            unsafe { handed_over(inside, mutex, next) };
        }
        next.is_some()
    };
    // SAFETY: the caller's promise.
    unsafe { lending::inside(fiber, taking) }
}

/// Completes a hand-over to `next`, or to nobody if it is null.
///
/// # Safety
///
/// The caller must be inside the lock. `next` was in line, and has not been woken yet.
unsafe fn handed_over(inside: &mut Inside, mutex: &RawMutex, next: *const Header) {
    if next.is_null() {
        return;
    }
    waits_on(next).set(ptr::null());
    // SAFETY: it waits.
    let run_loop = unsafe { Header::loop_address(next) };
    if inside.team.has(run_loop) && highest(mutex, inside.team).is_some() {
        list(mutex, next);
        // SAFETY: it waits.
        unsafe { adjust(inside, next, None) };
    }
}

const fn waits_on<'a>(fiber: *const Header) -> &'a Cell<*const ()> {
    // SAFETY: only fibers wait for mutexes, so the header is a cell's.
    unsafe { &Lending::of(fiber).waits_on }
}

/// Returns the highest level among the fibers of a scheduler that wait for a mutex.
fn highest(mutex: &RawMutex, team: &Team) -> Option<u8> {
    mutex.line.with(|line| {
        line.iter()
            .filter_map(|waiter| level_in_line(waiter.fiber, team))
            .max()
    })
}

/// Returns the level that is due to a fiber in a line, or `None` if it is of another scheduler, or
/// has failed there.
fn level_in_line(fiber: *const Header, team: &Team) -> Option<u8> {
    // SAFETY: H3, or it has failed, and its header stays for good.
    let header = unsafe { &*fiber };
    // SAFETY: as above.
    let run_loop = unsafe { Header::loop_address(fiber) };
    // SAFETY: as above; only fibers stand in line, so it is a cell's.
    let lending = unsafe { Lending::of(fiber) };
    let is_ours = team.has(run_loop) && !header.state.is_finished();
    is_ours.then(|| lending.level.load(Ordering::Relaxed))
}

/// Recomputes the level that is due to a fiber, and the levels that depend on it. `pin` is what
/// holds the fiber.
///
/// # Safety
///
/// The caller must be inside the lock. The fiber must be of this scheduler, and must not have ended.
/// It must be held, or run here, or wait (**N2**).
unsafe fn adjust(inside: &mut Inside, fiber: *const Header, pin: Option<Pin>) {
    let (mut fiber, mut pin) = (fiber, pin);
    loop {
        // SAFETY: the caller's promise, or it is held.
        let mut level = unsafe { (*fiber).own_level.get() };
        // SAFETY: H1.
        let mut at = unsafe { wanted_of(fiber).get().cast::<RawMutex>().as_ref() };
        while let Some(mutex) = at {
            level = level.max(highest(mutex, inside.team).unwrap_or(0));
            // SAFETY: H1.
            at = unsafe { mutex.next_wanted.get().as_ref() };
        }
        // SAFETY: N2, as above.
        if unsafe { !inside.set_level(fiber, level) } {
            return;
        }
        // SAFETY: H3: a fiber keeps alive what it waits for.
        let Some(mutex) = (unsafe { waits_on(fiber).get().cast::<RawMutex>().as_ref() }) else {
            return;
        };
        drop(pin); // in a cycle the owner may be the same fiber
        pin = Pin::new(inside.team, mutex.owner());
        let Some(owner) = &pin else {
            return;
        };
        fiber = owner.fiber();
    }
}
