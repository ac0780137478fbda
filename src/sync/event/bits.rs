//! The state of an event group, as plain numbers. The conversions between numbers and flags are code
//! of the kernel's, which must not run while the state is locked (K1), so they stay outside.

use crate::platform::Nanoseconds;
use crate::scheduler::cpu::current;
use crate::scheduler::task::wait::{Giver, Kind};
use crate::scheduler::{WaitError, WaitReason};
use crate::sync::event::Wanted;
use crate::sync::line::{Line, Served, Waiter};
use crate::sync::locked::Locked;
use core::ptr;

static KIND: Kind = Kind::in_line(WaitReason::Event, Giver::Anybody, leave_failed);

/// Removes a fiber that failed while it waited, and passes on what it was given.
///
/// # Safety
///
/// The requirements of [`Leave`](crate::scheduler::task::wait::Leave) apply.
unsafe fn leave_failed(object: *const (), waiter: *const ()) {
    // SAFETY: the caller's promise.
    let (this, waiter) = unsafe { Waiter::of_failed::<Bits>(object, waiter) };
    if waiter.has_left(&this.state, State::leave) {
        return;
    }
    // SAFETY: as in `set`; it was served, so nobody else touches it any more.
    let request = unsafe { &*waiter.note().cast::<Request>() };
    if request.wanted.clears {
        let _set = this.set(request.initial, request.found);
    }
}

/// See the [module](self). A `const fn new` cannot convert the initial flags to a number. The event
/// keeps them instead, and passes their number, `initial`, with each call.
pub(super) struct Bits {
    state: Locked<State>,
}

struct State {
    /// The bits in which the flags that are set differ from the initial ones.
    changed: u32,
    line: Line,
}

/// The request that the note of a waiter points to.
struct Request {
    wanted: Wanted<u32>,
    initial: u32,
    found: u32,
}

impl Wanted<u32> {
    /// Returns those of the wanted flags that are in `set`, if they satisfy the wait.
    const fn find_in(self, set: u32) -> Option<u32> {
        let found = self.flags & set;
        let is_enough = if self.needs_all {
            found == self.flags
        } else {
            found != 0
        };
        if is_enough { Some(found) } else { None }
    }
}

impl State {
    const fn set(&self, initial: u32) -> u32 {
        initial ^ self.changed
    }

    const fn replace(&mut self, initial: u32, set: u32) {
        self.changed = initial ^ set;
    }

    fn take(&mut self, initial: u32, wanted: Wanted<u32>) -> Option<u32> {
        let set = self.set(initial);
        let found = wanted.find_in(set)?;
        if wanted.clears {
            self.replace(initial, set & !found);
        }
        Some(found)
    }

    fn leave(&mut self, waiter: &Waiter) -> Served {
        self.line.remove(waiter);
        Served::nobody()
    }
}

impl Bits {
    pub(super) const fn new() -> Self {
        Self {
            state: Locked::new(State {
                changed: 0,
                line: Line::new(),
            }),
        }
    }

    pub(super) fn get(&self, initial: u32) -> u32 {
        self.state.with(|state| state.set(initial))
    }

    pub(super) fn set(&self, initial: u32, flags: u32) -> u32 {
        let mut served = Served::nobody();
        let set = self.state.with(|state| {
            let mut set = state.set(initial) | flags;
            let mut next = state.line.first();
            while let Some(waiter) = next {
                next = waiter.behind();
                // SAFETY: `wait_until` has it point to its request, which only this lock's holder
                // touches (L1).
                let request = unsafe { &mut *waiter.note().cast::<Request>() };
                if let Some(found) = request.wanted.find_in(set) {
                    request.found = found;
                    if request.wanted.clears {
                        set &= !found;
                    }
                    state.line.serve(waiter, &mut served);
                }
            }
            state.replace(initial, set);
            set
        });
        served.wake();
        set
    }

    pub(super) fn clear(&self, initial: u32, flags: u32) -> u32 {
        self.state.with(|state| {
            let before = state.set(initial);
            state.replace(initial, before & !flags);
            before
        })
    }

    pub(super) fn try_wait(&self, initial: u32, wanted: Wanted<u32>) -> Option<u32> {
        self.state.with(|state| state.take(initial, wanted))
    }

    #[track_caller]
    pub(super) fn wait_until(
        &self,
        initial: u32,
        wanted: Wanted<u32>,
        deadline: Nanoseconds,
    ) -> Result<u32, WaitError> {
        let waiter = Waiter::new(current::waiting_fiber());
        let mut request = Request {
            wanted,
            initial,
            found: 0,
        };
        let request: *mut Request = &raw mut request;
        waiter.set_note(request.cast());
        let found = self.state.with(|state| {
            let found = state.take(initial, wanted);
            if found.is_none() {
                // SAFETY: it is new, and waits next, which keeps it and its request in place.
                unsafe { state.line.push(&raw const waiter) };
            }
            found
        });
        if let Some(found) = found {
            return Ok(found);
        }
        let object = ptr::from_ref(self).cast();
        waiter.wait(&self.state, &KIND, object, deadline, State::leave)?;
        // SAFETY: it was served, so nobody else touches it any more.
        Ok(unsafe { (*request).found })
    }
}
