//! The state of a reader-writer lock: which fibers hold it, and which fibers wait.

use crate::platform::{NEVER, Nanoseconds};
use crate::scheduler::WaitReason;
use crate::scheduler::run_loop::deadlock;
use crate::scheduler::task::header::Header;
use crate::scheduler::task::owner::{HeldBy, OwnerWord, Readers};
use crate::scheduler::task::wait::{Giver, Kind};
use crate::sync::line::{Line, Served, Waiter};
use crate::sync::lock_error::LockError;
use crate::sync::locked::Locked;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

static READ: Kind = Kind::in_line(
    WaitReason::Read,
    Giver::Holder(holder::<false>),
    leave_failed,
);
static WRITE: Kind = Kind::in_line(
    WaitReason::Write,
    Giver::Holder(holder::<true>),
    leave_failed,
);

/// Removes a fiber that failed while it waited, and passes on what it was given.
///
/// # Safety
///
/// The requirements of [`Leave`](crate::scheduler::task::wait::Leave) apply.
unsafe fn leave_failed(object: *const (), waiter: *const ()) {
    // SAFETY: the caller's promise.
    let (this, waiter) = unsafe { Waiter::of_failed::<RawRwLock>(object, waiter) };
    let has_left = waiter.has_left(&this.holders, |holders, waiter| this.leave(holders, waiter));
    // If the lock was handed over to a writer before, that writer has poisoned it.
    if !has_left && waiter.note().is_null() {
        // SAFETY: the caller's promise: it runs.
        this.unlock_read(unsafe { OwnerWord::of(waiter.fiber) });
    }
}

/// The access that a fiber asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// Whether a fiber holds the lock for reading.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum IsReader {
    Yes,
    No,
    /// Some readers are not recorded, and it is none of the others.
    Perhaps,
}

/// A reader-writer lock without its value; see the [module](self).
pub(super) struct RawRwLock {
    /// The [`OwnerWord`] of the writer. It is changed only in the lock of `holders`.
    writer: AtomicPtr<Header>,
    holders: Locked<Holders>,
}

struct Holders {
    readers: Readers,
    /// The waiting fibers. The note of a writer is not null.
    line: Line,
}

/// Returns the fibers that a reader or a writer waits for.
///
/// # Safety
///
/// The requirements of [`HolderOf`](crate::scheduler::task::wait::HolderOf) apply.
unsafe fn holder<const WRITES: bool>(
    object: *const (),
    fiber: *const Header,
    is_about_to_wait: bool,
) -> HeldBy {
    // SAFETY: the caller's promise.
    let lock = unsafe { &*object.cast::<RawRwLock>() };
    lock.holders.with(|holders| {
        let writer = lock.writer();
        if !is_about_to_wait && !holders.is_in_line(fiber) {
            HeldBy::Nobody
        } else if !writer.is_nobody() {
            HeldBy::Fiber(writer)
        } else if !WRITES {
            // While other fibers read, a waiting reader is kept waiting by a writer in front of it.
            match holders.line.iter().find(|waiter| is_writer(waiter)) {
                // SAFETY: it is in line, so it is alive.
                Some(first) => HeldBy::Fiber(unsafe { OwnerWord::of(first.fiber) }),
                None => HeldBy::Nobody,
            }
        } else if holders.readers.count() == 0 {
            HeldBy::Nobody
        } else {
            HeldBy::Readers(holders.readers)
        }
    })
}

const fn is_writer(waiter: &Waiter) -> bool {
    !waiter.note().is_null()
}

impl Holders {
    fn is_in_line(&self, fiber: *const Header) -> bool {
        let mut line = self.line.iter();
        line.any(|waiter| ptr::eq(waiter.fiber, fiber))
    }
}

impl RawRwLock {
    pub(super) const fn new() -> Self {
        Self {
            writer: AtomicPtr::new(ptr::null_mut()),
            holders: Locked::new(Holders {
                readers: Readers::NONE,
                line: Line::new(),
            }),
        }
    }

    pub(super) fn writer(&self) -> OwnerWord {
        OwnerWord::from_stored(self.writer.load(Ordering::Relaxed))
    }

    fn set_writer(&self, writer: OwnerWord) {
        self.writer.store(writer.raw(), Ordering::Relaxed);
    }

    /// Gives the lock to a fiber if no other fiber conflicts.
    fn give(&self, holders: &mut Holders, access: Access, owner: OwnerWord) -> bool {
        let is_free =
            self.writer().is_nobody() && (access == Access::Read || holders.readers.count() == 0);
        if is_free {
            match access {
                Access::Read => holders.readers.add(owner),
                Access::Write => self.set_writer(owner),
            }
        }
        is_free
    }

    /// Gives the lock to the fibers at the front of the line that can have it: one writer, or all
    /// readers up to the next writer.
    fn serve(&self, holders: &mut Holders) -> Served {
        let mut served = Served::nobody();
        while let Some(first) = holders.line.first() {
            let access = if is_writer(first) {
                Access::Write
            } else {
                Access::Read
            };
            // SAFETY: it is in line, so it is alive.
            let owner = unsafe { OwnerWord::of(first.fiber) };
            if !self.give(holders, access, owner) {
                break;
            }
            let _waiter = holders.line.serve_first(&mut served);
        }
        served
    }

    pub(super) fn try_lock(&self, access: Access, owner: OwnerWord) -> bool {
        self.holders
            .with(|holders| holders.line.is_empty() && self.give(holders, access, owner))
    }

    /// Locks for a running fiber, and returns its word.
    #[track_caller]
    pub(super) fn lock(
        &self,
        access: Access,
        fiber: *const Header,
        deadline: Nanoseconds,
    ) -> Result<OwnerWord, LockError> {
        // SAFETY: it runs.
        let owner = unsafe { OwnerWord::of(fiber) };
        if self.try_lock(access, owner) {
            return Ok(owner);
        }
        let object = ptr::from_ref(self).cast();
        let kind = match access {
            Access::Read => &READ,
            Access::Write => &WRITE,
        };
        assert!(
            self.writer() != owner,
            "a reader-writer lock was locked by the fiber that holds it to write, which would wait for itself: drop the first guard before"
        );
        if deadline == NEVER && !self.is_poisoned() {
            deadlock::look(fiber, kind, object);
        }
        let waiter = Waiter::new(fiber);
        if access == Access::Write {
            waiter.set_note(ptr::dangling_mut());
        }
        let is_given = self.holders.with(|holders| {
            let is_given = holders.line.is_empty() && self.give(holders, access, owner);
            if !is_given {
                // SAFETY: it is new, and waits next, which keeps it in place.
                unsafe { holders.line.push(&raw const waiter) };
            }
            is_given
        });
        if is_given {
            return Ok(owner);
        }
        waiter.wait_for_holder(
            &self.holders,
            kind,
            object,
            deadline,
            || self.is_poisoned(),
            |holders, waiter| self.leave(holders, waiter),
        )?;
        Ok(owner)
    }

    fn leave(&self, holders: &mut Holders, waiter: &Waiter) -> Served {
        holders.line.remove(waiter);
        // The readers behind a writer that leaves may have waited for it alone.
        self.serve(holders)
    }

    pub(super) fn is_locked(&self) -> bool {
        self.holders
            .with(|holders| !self.writer().is_nobody() || holders.readers.count() > 0)
    }

    /// Returns whether the fiber that writes has failed. It then holds the lock permanently.
    pub(super) fn is_poisoned(&self) -> bool {
        self.writer().has_failed()
    }

    /// Changes who holds the lock, and hands it on to those who can have it now.
    fn change(&self, change: impl FnOnce(&mut Holders)) {
        let served = self.holders.with(|holders| {
            change(holders);
            self.serve(holders)
        });
        served.wake();
    }

    /// Takes the lock from a failed writer, and hands it on. Returns false if no writer has failed.
    pub(super) fn take_from_failed(&self) -> bool {
        let mut is_taken = false;
        self.change(|_| {
            is_taken = self.is_poisoned();
            if is_taken {
                self.set_writer(OwnerWord::NOBODY);
            }
        });
        is_taken
    }

    /// Returns whether a fiber holds the lock for reading, as far as that is recorded.
    pub(super) fn is_read_by(&self, fiber: OwnerWord) -> IsReader {
        self.holders.with(|holders| {
            let readers = &holders.readers;
            if readers.known().any(|reader| reader == fiber) {
                IsReader::Yes
            } else if readers.others > 0 {
                IsReader::Perhaps
            } else {
                IsReader::No
            }
        })
    }

    /// Unlocks for `reader`, which holds the lock for reading.
    pub(super) fn unlock_read(&self, reader: OwnerWord) {
        self.change(|holders| holders.readers.remove(reader));
    }

    /// Unlocks for the fiber that holds the lock for writing.
    pub(super) fn unlock_write(&self, _writer: OwnerWord) {
        self.change(|_| self.set_writer(OwnerWord::NOBODY));
    }

    /// Unlocks for `writer`, which holds the lock for writing, and locks for reading. No other
    /// writer comes between.
    pub(super) fn downgrade(&self, writer: OwnerWord) {
        self.change(|holders| {
            self.set_writer(OwnerWord::NOBODY);
            holders.readers.add(writer);
        });
    }
}
