//! Who has a reader-writer lock, and who waits for it.

use crate::platform::Nanoseconds;
use crate::scheduler::header::Header;
use crate::scheduler::{WaitError, WaitReason};
use crate::sync::line::{Line, Served, Waiter};
use crate::sync::locked::Locked;
use core::ptr;

/// What a fiber wants.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// See the [module](self).
pub(super) struct RawRwLock {
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
    const fn give(&mut self, access: Access, fiber: *const Header) -> bool {
        let is_free = match access {
            Access::Read => self.writer.is_null(),
            Access::Write => self.writer.is_null() && self.readers == 0,
        };
        if is_free {
            match access {
                Access::Read => self.readers += 1,
                Access::Write => self.writer = fiber,
            }
        }
        is_free
    }

    /// Gives it to those in front of the line who can have it: one writer, or readers up to the next writer.
    fn serve(&mut self) -> Served {
        let mut served = Served::nobody();
        while let Some(first) = self.line.first() {
            let access = if first.note.get().is_null() {
                Access::Read
            } else {
                Access::Write
            };
            let fiber = first.fiber;
            if !self.give(access, fiber) {
                break;
            }
            let _waiter = self.line.serve_first(&mut served);
        }
        served
    }
}

impl RawRwLock {
    pub(super) const fn new() -> Self {
        Self {
            holders: Locked::new(Holders {
                readers: 0,
                writer: ptr::null(),
                line: Line::new(),
            }),
        }
    }

    pub(super) fn try_lock(&self, access: Access, fiber: *const Header) -> bool {
        self.holders
            .with(|holders| holders.line.is_empty() && holders.give(access, fiber))
    }

    #[track_caller]
    pub(super) fn lock(
        &self,
        access: Access,
        fiber: *const Header,
        deadline: Nanoseconds,
    ) -> Result<(), WaitError> {
        let waiter = Waiter::new(fiber);
        if access == Access::Write {
            waiter.note.set(ptr::dangling_mut());
        }
        let mut is_writer = false;
        let is_given = self.holders.with(|holders| {
            is_writer = ptr::eq(holders.writer, fiber);
            if is_writer {
                return false;
            }
            let is_given = holders.line.is_empty() && holders.give(access, fiber);
            if !is_given {
                // SAFETY: it is new, and waits next, which keeps it in place.
                unsafe { holders.line.push(&raw const waiter) };
            }
            is_given
        });
        assert!(
            !is_writer,
            "a reader-writer lock was locked by the fiber that writes: it would wait for itself; drop the first guard before"
        );
        if is_given {
            return Ok(());
        }
        let object = ptr::from_ref(self).cast();
        waiter.wait_shielded(
            &self.holders,
            WaitReason::RwLock,
            object,
            deadline,
            |holders, waiter| {
                holders.line.remove(waiter);
                // A writer that leaves may have been all that kept the readers behind it waiting.
                holders.serve()
            },
        )
    }

    pub(super) fn unlock_read(&self) {
        let served = self.holders.with(|holders| {
            holders.readers -= 1;
            holders.serve()
        });
        served.wake();
    }

    pub(super) fn unlock_write(&self) {
        let served = self.holders.with(|holders| {
            holders.writer = ptr::null();
            holders.serve()
        });
        served.wake();
    }
}
