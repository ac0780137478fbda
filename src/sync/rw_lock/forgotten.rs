//! Unlocking a reader-writer lock whose guard was forgotten, for code that locks in one function
//! and unlocks in another.

use super::RwLock;
use super::raw::IsReader;
use crate::scheduler::cpu::{current, misuse};
use crate::scheduler::task::owner::OwnerWord;

impl<T: ?Sized> RwLock<T> {
    /// Unlocks the lock in place of a [read guard](super::RwLockReadGuard) that was forgotten with
    /// [`core::mem::forget`].
    ///
    /// Interfaces whose calls to lock and to unlock are separate functions need this: C code, and
    /// the raw locks of the crate `lock_api`. Elsewhere, drop the guard.
    ///
    /// The lock records up to four of its readers, and only counts the others. If the running fiber
    /// is known not to read, nothing is unlocked. See
    /// [`Mutex::force_unlock`](crate::sync::Mutex::force_unlock) for how this happens. On a host, a
    /// fiber that unwinds and is only counted stays a reader, because it may be one that does not
    /// read.
    ///
    /// # Panics
    ///
    /// On a host, panics if the running fiber is known not to read, unless it unwinds.
    ///
    /// # Safety
    ///
    /// The running fiber has locked the lock for reading and has forgotten the guard. It has not
    /// called this function for that guard before.
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: nothing.
    #[track_caller]
    pub unsafe fn force_unlock_read(&self) {
        // SAFETY: by the caller's promise a fiber runs. On a host null is possible, and is nobody.
        let reader = unsafe { OwnerWord::of_or_nobody(current::get()) };
        let is_reader = match self.raw.is_read_by(reader) {
            IsReader::Yes => true,
            IsReader::Perhaps => !misuse::is_unwinding(),
            IsReader::No if cfg!(target_os = "linux") && !misuse::is_unwinding() => panic!(
                "a reader-writer lock was unlocked by a fiber that does not read: a guard belongs to the fiber that locked; what \
                 it locked stays locked"
            ),
            IsReader::No => false,
        };
        if is_reader {
            self.raw.unlock_read(reader);
        }
    }

    /// Unlocks the lock in place of a [write guard](super::RwLockWriteGuard) that was forgotten with
    /// [`core::mem::forget`].
    ///
    /// See [`force_unlock_read`](Self::force_unlock_read).
    ///
    /// # Panics
    ///
    /// On a host, panics if another fiber writes, unless the running fiber unwinds. Nothing is
    /// unlocked then.
    ///
    /// # Safety
    ///
    /// The running fiber has locked the lock for writing and has forgotten the guard. It has not
    /// called this function for that guard before.
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: nothing.
    #[track_caller]
    pub unsafe fn force_unlock_write(&self) {
        let writer = self.raw.writer();
        if misuse::is_own(writer, "unlocked") {
            self.raw.unlock_write(writer);
        }
    }

    /// Downgrades the lock in place of a [write guard](super::RwLockWriteGuard) that was forgotten:
    /// the running fiber reads from now on, and other readers may too. No writer gets in between.
    ///
    /// # Panics
    ///
    /// As [`force_unlock_write`](Self::force_unlock_write).
    ///
    /// # Safety
    ///
    /// As [`force_unlock_write`](Self::force_unlock_write). Afterwards the fiber owes a
    /// [`force_unlock_read`](Self::force_unlock_read).
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: nothing.
    #[track_caller]
    pub unsafe fn force_downgrade(&self) {
        let writer = self.raw.writer();
        if misuse::is_own(writer, "downgraded") {
            self.raw.downgrade(writer);
        }
    }
}
