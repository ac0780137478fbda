//! The slow paths of a semaphore, which are taken when a fiber waits.
//!
//! ```text
//!   n ──one waits──► its node ──another waits──► IN_LINE          the word; released, it is n again
//! ```
//!
//! A fiber that waits alone needs no lock: its node is in the word, and whoever changes the word
//! has taken the node.

use super::{Semaphore, TooManyPermits};
use crate::atomic::Change as _;
use crate::platform::{NEVER, Nanoseconds};
use crate::scheduler::task::header::Header;
use crate::scheduler::task::wait::{Giver, Kind};
use crate::scheduler::{WaitError, WaitReason};
use crate::sync::line::{Line, Served, Waiter};
use core::ptr;
use core::sync::atomic::Ordering;

static KIND: Kind = Kind::in_line(WaitReason::Semaphore, Giver::Anybody, leave_failed);

/// Removes a fiber that failed while it waited, and passes on what it was given.
///
/// # Safety
///
/// The requirements of [`Leave`](crate::scheduler::task::wait::Leave) apply.
unsafe fn leave_failed(object: *const (), waiter: *const ()) {
    // SAFETY: the caller's promise.
    let (this, waiter) = unsafe { Waiter::of_failed::<Semaphore>(object, waiter) };
    if this.give_up(waiter, WaitError::Cancelled).is_ok() {
        // If there are too many permits by now, the result is the same as if the fiber had released
        // its own before.
        let _given_back = this.release(1);
    }
}

/// The bit of the word that is set if a fiber waits. There are no permits then.
pub(super) const AWAITED: usize = 1 << (usize::BITS - 1);

/// The word if several fibers wait, or did until a moment ago. It is changed only in the lock of
/// the line.
const IN_LINE: *mut Waiter = ptr::without_provenance_mut(usize::MAX);

/// Returns the word for a fiber that waits alone, in no line: half the address of its waiter, and
/// the bit. Whoever changes the word has taken the waiter.
fn alone(waiter: *const Waiter) -> *mut Waiter {
    // The address is even, so this moves the bit to the highest place.
    waiter
        .cast_mut()
        .map_addr(|address| (address | 1).rotate_right(1))
}

/// Returns the waiter that waits alone.
fn waiter_in(word: *mut Waiter) -> *const Waiter {
    word.map_addr(|address| address << 1)
}

/// Returns the word for a number of permits, which may be zero.
pub(super) const fn of(permits: usize) -> *mut Waiter {
    ptr::without_provenance_mut(permits)
}

impl Semaphore {
    #[cold]
    #[inline(never)]
    pub(super) fn try_acquire_again(&self) -> bool {
        let mut permits = self.word.load(Ordering::Relaxed).addr();
        while permits.wrapping_sub(1) < Self::MAX {
            if self.change(of(permits), of(permits - 1), Ordering::Acquire) {
                return true;
            }
            permits = self.word.load(Ordering::Relaxed).addr();
        }
        false
    }

    #[inline(always)]
    pub(super) fn change(&self, from: *mut Waiter, to: *mut Waiter, order: Ordering) -> bool {
        self.exchange(from, to, order).is_some()
    }

    /// Behaves like [`change`](Self::change), and returns what was there: see [`give_to`](Self::give_to).
    #[inline(always)]
    fn exchange(&self, from: *mut Waiter, to: *mut Waiter, order: Ordering) -> Option<*mut Waiter> {
        self.word
            .compare_exchange(from, to, order, Ordering::Relaxed)
            .ok()
    }

    /// Gives a permit to the fiber that waits alone, if one does. Returns whether it did.
    ///
    /// The word is read again. If the caller's value were needed here, the way without a waiter would
    /// have to keep a copy of it.
    #[inline(always)]
    pub(super) fn give_to_lone(&self) -> bool {
        let word = self.word.load(Ordering::Relaxed);
        let is_alone = word.addr() & AWAITED != 0 && word != IN_LINE;
        is_alone && self.give_to(word)
    }

    /// Gives a permit to the fiber that waits alone, if the word is this one still. Returns whether it
    /// did.
    ///
    /// Since the word was read, that waiter may have gone, and another one may lie in its place. So what
    /// the exchange took is used, and not what was read.
    #[inline(always)]
    fn give_to(&self, word: *mut Waiter) -> bool {
        // Acquire: this makes visible what the waiter wrote into its node.
        let Some(taken) = self.word.take(word, of(0), Ordering::AcqRel) else {
            return false;
        };
        // SAFETY: the exchange took it, from no line.
        unsafe { Waiter::wake(waiter_in(taken)) };
        true
    }

    #[cold]
    #[inline(never)]
    pub(super) fn release_slowly(&self, count: usize) -> Result<(), TooManyPermits> {
        loop {
            let word = self.word.load(Ordering::Relaxed);
            let permits = word.addr();
            let is_alone = permits & AWAITED != 0 && word != IN_LINE;
            if is_alone && count.wrapping_sub(1) <= self.limit {
                // Acquire: this makes visible what the waiter wrote into its node.
                if let Some(taken) = self.exchange(word, of(count - 1), Ordering::AcqRel) {
                    // SAFETY: the exchange took it, from no line.
                    unsafe { Waiter::wake(waiter_in(taken)) };
                    return Ok(());
                }
            } else if count == 0 {
                return Ok(());
            } else if word == IN_LINE {
                if let Some(result) = self.hand_over(count) {
                    return result;
                }
            } else if is_alone || count > self.limit - permits {
                return Err(TooManyPermits { count });
            } else if self.change(word, of(permits + count), Ordering::Release) {
                return Ok(());
            }
        }
    }

    /// Gives permits to waiting fibers. Returns `None` if the last of them has left meanwhile.
    #[inline(always)]
    fn hand_over(&self, count: usize) -> Option<Result<(), TooManyPermits>> {
        if count == 1 {
            return self.hand_one_over();
        }
        let mut served = Served::nobody();
        let handed = self.line.with(|line| {
            if self.word.load(Ordering::Relaxed) != IN_LINE {
                return None;
            }
            let waiting = line.iter().take(count).count();
            let left = count - waiting;
            if left > self.limit {
                return Some(Err(TooManyPermits { count }));
            }
            for _ in 0..waiting {
                let _waiter = line.serve_first(&mut served);
            }
            if line.is_empty() {
                self.word.store(of(left), Ordering::Release);
            }
            Some(Ok(()))
        });
        served.wake();
        handed
    }

    /// Gives a permit to the fiber that has waited longest, if one waits.
    #[inline(always)]
    fn hand_one_over(&self) -> Option<Result<(), TooManyPermits>> {
        let waiter = self.line.with(|line| {
            let waiter = line.pop()?;
            if line.is_empty() {
                self.word.store(of(0), Ordering::Release);
            }
            Some(waiter)
        })?;
        // SAFETY: it was popped, and the line is unlocked.
        unsafe { Waiter::wake(waiter) };
        Some(Ok(()))
    }

    /// Waits alone if no other fiber waits, and in the line otherwise.
    ///
    /// The function is inlined. Out of line, it would save and restore all registers at each wait.
    #[inline(always)]
    #[track_caller]
    pub(super) fn wait(&self, fiber: *const Header) -> Result<(), WaitError> {
        let waiter = Waiter::without_note(fiber);
        let word = alone(&raw const waiter);
        // Release: this publishes the content of the node.
        if !self.word.change(of(0), word, Ordering::Release) {
            return self.wait_in_line(fiber, NEVER);
        }
        let object = ptr::from_ref(self).cast();
        let is_done = || waiter.is_served();
        // SAFETY: `leave_failed` expects the semaphore and this waiter.
        unsafe { waiter.wait_until(fiber, &KIND, object, NEVER, is_done) }
            .or_else(|error| self.give_up(&waiter, error))
    }

    /// Ends the wait of a fiber that waited alone, and may no longer be alone. It is not an error
    /// if the fiber was given a permit meanwhile.
    #[cold]
    #[inline(never)]
    fn give_up(&self, waiter: &Waiter, error: WaitError) -> Result<(), WaitError> {
        let has_left = self.change(alone(waiter), of(0), Ordering::Relaxed)
            || waiter.has_left(&self.line, |line, waiter| self.leave(line, waiter));
        if has_left { Err(error) } else { Ok(()) }
    }

    fn leave(&self, line: &Line, waiter: &Waiter) -> Served {
        line.remove(waiter);
        if line.is_empty() {
            self.word.store(of(0), Ordering::Relaxed);
        }
        Served::nobody()
    }

    #[cold]
    #[inline(never)]
    #[track_caller]
    pub(super) fn wait_in_line(
        &self,
        fiber: *const Header,
        deadline: Nanoseconds,
    ) -> Result<(), WaitError> {
        let waiter = Waiter::new(fiber);
        if !self
            .line
            .with_interrupts_on(|line| self.enter(line, &waiter))
        {
            return Ok(());
        }
        let object = ptr::from_ref(self).cast();
        waiter.wait(&self.line, &KIND, object, deadline, |line, waiter| {
            self.leave(line, waiter)
        })
    }

    /// Puts a waiter into the line, behind one that waited alone. If there is a permit, takes it
    /// for the waiter instead and returns false.
    fn enter(&self, line: &Line, waiter: &Waiter) -> bool {
        loop {
            let word = self.word.load(Ordering::Relaxed);
            if word.addr().wrapping_sub(1) < Self::MAX {
                if self.try_acquire() {
                    return false;
                }
                continue;
            }
            if word != IN_LINE {
                let Some(taken) = self.exchange(word, IN_LINE, Ordering::Acquire) else {
                    continue;
                };
                if !taken.is_null() {
                    // SAFETY: the exchange took it, from no line, and it waits, which keeps it in
                    // place.
                    unsafe { line.push(waiter_in(taken)) };
                }
            }
            // SAFETY: it is new, and its wait keeps it in place.
            unsafe { line.push(waiter) };
            return true;
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::platform::Host;
    use crate::scheduler::cpu::current;
    use crate::scheduler::{FiberCell, Scheduler};

    /// Runs `body` with a semaphore that has no permits, and with a waiter that waits alone.
    fn with_one_alone(body: fn(&'static Semaphore, &Waiter)) {
        static SCHEDULER: Scheduler<Host> = Scheduler::new(Host::new());
        static CELL: FiberCell<65536> = FiberCell::new();
        static SEMAPHORE: Semaphore = Semaphore::new(0);
        static TURN: spin::Mutex<()> = spin::Mutex::new(());
        let _turn = TURN.lock();
        let fiber = SCHEDULER.spawn(&CELL, move || {
            let waiter = Waiter::new(current::waiting_fiber());
            assert!(SEMAPHORE.change(of(0), alone(&raw const waiter), Ordering::Release));
            body(&SEMAPHORE, &waiter);
            while SEMAPHORE.try_acquire() {}
        });
        SCHEDULER.run();
        fiber
            .expect("the cell is free")
            .try_join()
            .expect("it has ended");
    }

    #[test]
    fn a_permit_that_comes_while_the_only_waiter_gives_up_is_taken() {
        with_one_alone(|semaphore, waiter| {
            semaphore.release(1).expect("there is room");
            assert_eq!(semaphore.available(), 0, "it is the waiter's");
            assert_eq!(semaphore.give_up(waiter, WaitError::Cancelled), Ok(()));
        });
    }

    #[test]
    fn a_permit_goes_to_the_waiter_of_now_though_another_lay_in_its_place_when_the_word_was_read() {
        with_one_alone(|semaphore, waiter| {
            let mut place = Waiter::new(waiter.fiber);
            let place = &raw mut place;
            // SAFETY: it is a local.
            let read = alone(ptr::from_ref(unsafe { &*place }));
            // SAFETY: as above.
            let now = unsafe { &mut *place };
            *now = Waiter::new(waiter.fiber);
            let error = WaitError::Cancelled;
            assert_eq!(semaphore.give_up(waiter, error), Err(error));
            assert!(semaphore.change(of(0), alone(ptr::from_mut(now)), Ordering::Release));
            assert!(semaphore.give_to(read));
            assert!(now.is_served());
        });
    }

    #[test]
    fn an_only_waiter_that_gives_up_leaves_nothing_behind() {
        with_one_alone(|semaphore, waiter| {
            let error = WaitError::Cancelled;
            assert_eq!(semaphore.give_up(waiter, error), Err(error));
            semaphore.release(2).expect("there is room");
            assert_eq!(semaphore.available(), 2);
            assert!(!waiter.is_served());
        });
    }

    #[test]
    fn one_that_was_alone_and_stands_in_line_now_gives_up_and_the_next_is_served() {
        with_one_alone(|semaphore, waiter| {
            let next = Waiter::new(waiter.fiber);
            assert!(semaphore.line.with(|line| semaphore.enter(line, &next)));
            let error = WaitError::Cancelled;
            assert_eq!(semaphore.give_up(waiter, error), Err(error));
            semaphore.release(1).expect("there is room");
            assert!(next.is_served() && !waiter.is_served());
            assert_eq!(semaphore.available(), 0);
        });
    }
}
