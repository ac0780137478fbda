//! Who has a reader-writer lock, and who waits for it.

use crate::platform::{NEVER, Nanoseconds};
use crate::scheduler::WaitReason;
use crate::scheduler::deadlock;
use crate::scheduler::failing::has_failed;
use crate::scheduler::header::Header;
use crate::scheduler::owner::READS;
use crate::scheduler::wait::Kind;
use crate::sync::line::{Line, Served, Waiter};
use crate::sync::lock_error::LockError;
use crate::sync::locked::Locked;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

/// What a fiber wants.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// See the [module](self).
#[repr(C)] // the word first, by O1: a report on those who wait finds the owner there
pub(super) struct RawRwLock {
    /// The writer, or the one reader that is known for sure, with [`READS`]. Null if nobody has it, or if of several readers
    /// the first has left. Changed in the lock of the holders.
    known: AtomicPtr<Header>,
    holders: Locked<Holders>,
}

struct Holders {
    readers: usize,
    writer: *const Header,
    /// The note of a writer is not null.
    line: Line,
}

// SAFETY: the header is only compared.
unsafe impl Send for Holders {}

impl Holders {
    /// Gives it to a fiber if nobody is in the way.
    fn give(&mut self, access: Access, fiber: *const Header, known: &AtomicPtr<Header>) -> bool {
        let is_free = match access {
            Access::Read => self.writer.is_null(),
            Access::Write => self.writer.is_null() && self.readers == 0,
        };
        if is_free {
            match access {
                Access::Read => {
                    if self.readers == 0 {
                        let word = fiber.map_addr(|address| address | READS);
                        known.store(word.cast_mut(), Ordering::Relaxed);
                    }
                    self.readers += 1;
                }
                Access::Write => {
                    self.writer = fiber;
                    known.store(fiber.cast_mut(), Ordering::Relaxed);
                }
            }
        }
        is_free
    }

    /// Gives it to those in front of the line who can have it: one writer, or readers up to the next writer.
    fn serve(&mut self, known: &AtomicPtr<Header>) -> Served {
        let mut served = Served::nobody();
        while let Some(first) = self.line.first() {
            let access = if first.note.get().is_null() {
                Access::Read
            } else {
                Access::Write
            };
            let fiber = first.fiber;
            if !self.give(access, fiber, known) {
                break;
            }
            let _waiter = self.line.serve_first(&mut served);
        }
        served
    }
}

impl RawRwLock {
    const READ: &'static Kind = &Kind::in_line(WaitReason::Read, Self::leave_failed);
    const WRITE: &'static Kind = &Kind::in_line(WaitReason::Write, Self::leave_failed);

    pub(super) const fn new() -> Self {
        Self {
            known: AtomicPtr::new(ptr::null_mut()),
            holders: Locked::new(Holders {
                readers: 0,
                writer: ptr::null(),
                line: Line::new(),
            }),
        }
    }

    pub(super) fn try_lock(&self, access: Access, fiber: *const Header) -> bool {
        self.holders
            .with(|holders| holders.line.is_empty() && holders.give(access, fiber, &self.known))
    }

    #[track_caller]
    pub(super) fn lock(
        &self,
        access: Access,
        fiber: *const Header,
        deadline: Nanoseconds,
    ) -> Result<(), LockError> {
        if self.try_lock(access, fiber) {
            return Ok(());
        }
        let object = ptr::from_ref(self).cast();
        let kind = match access {
            Access::Read => Self::READ,
            Access::Write => Self::WRITE,
        };
        let writer = self.known.load(Ordering::Relaxed).cast_const();
        assert!(
            !ptr::eq(writer, fiber),
            "a reader-writer lock was locked by the fiber that writes: it would wait for itself; drop the first guard before"
        );
        if deadline == NEVER && !self.is_poisoned() {
            deadlock::look(fiber, kind, object);
        }
        let waiter = Waiter::new(fiber);
        if access == Access::Write {
            waiter.note.set(ptr::dangling_mut());
        }
        let is_given = self.holders.with(|holders| {
            let is_given = holders.line.is_empty() && holders.give(access, fiber, &self.known);
            if !is_given {
                // SAFETY: it is new, and waits next, which keeps it in place.
                unsafe { holders.line.push(&raw const waiter) };
            }
            is_given
        });
        if is_given {
            return Ok(());
        }
        waiter.wait_for_holder(
            &self.holders,
            kind,
            object,
            deadline,
            || self.is_poisoned(),
            |holders, waiter| self.leave(holders, waiter),
        )
    }

    fn leave(&self, holders: &mut Holders, waiter: &Waiter) -> Served {
        holders.line.remove(waiter);
        // A writer that leaves may have been all that kept the readers behind it waiting.
        holders.serve(&self.known)
    }

    /// # Safety
    ///
    /// As [`Leave`](crate::scheduler::wait::Leave): of a wait for a reader-writer lock.
    unsafe fn leave_failed(object: *const (), waiter: *const ()) {
        // SAFETY: the caller's promise; the wait keeps both in place.
        let (this, waiter) = unsafe { Waiter::of_failed::<Self>(object, waiter) };
        let has_left =
            waiter.has_left(&this.holders, |holders, waiter| this.leave(holders, waiter));
        // A writer to whom it was handed over before has poisoned it.
        if !has_left && waiter.note.get().is_null() {
            this.unlock_read(waiter.fiber);
        }
    }

    /// Whether the fiber that writes has failed. It then has the lock for good.
    pub(super) fn is_poisoned(&self) -> bool {
        // The address of one who reads has a bit set.
        let known = self.known.load(Ordering::Relaxed).cast_const();
        known.addr() & READS == 0 && has_failed(known)
    }

    /// Takes it from a writer that has failed, and hands it on. Returns false if that is not so.
    pub(super) fn take_from_failed(&self) -> bool {
        let served = self.holders.with(|holders| {
            has_failed(holders.writer).then(|| {
                holders.writer = ptr::null();
                self.known.store(ptr::null_mut(), Ordering::Relaxed);
                holders.serve(&self.known)
            })
        });
        served.map(Served::wake).is_some()
    }

    /// `fiber` runs, and has it.
    pub(super) fn unlock_read(&self, fiber: *const Header) {
        let served = self.holders.with(|holders| {
            holders.readers -= 1;
            let known = self.known.load(Ordering::Relaxed);
            if holders.readers == 0 || ptr::eq(known, fiber.map_addr(|address| address | READS)) {
                self.known.store(ptr::null_mut(), Ordering::Relaxed);
            }
            holders.serve(&self.known)
        });
        served.wake();
    }

    pub(super) fn unlock_write(&self) {
        let served = self.holders.with(|holders| {
            holders.writer = ptr::null();
            self.known.store(ptr::null_mut(), Ordering::Relaxed);
            holders.serve(&self.known)
        });
        served.wake();
    }
}
