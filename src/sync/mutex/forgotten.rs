//! Unlocking a mutex whose guard was forgotten, for code that locks in one function and unlocks in
//! another.

use super::Mutex;
use crate::scheduler::cpu::misuse;

impl<T: ?Sized> Mutex<T> {
    /// Unlocks the mutex in place of a guard that was forgotten with [`core::mem::forget`].
    ///
    /// Interfaces whose calls to lock and to unlock are separate functions need this: C code, and
    /// the raw locks of the crate `lock_api`. Elsewhere, drop the guard.
    ///
    /// If the running fiber does not own the mutex, nothing is unlocked. This happens if a fiber
    /// unlocks, panics when it locks again, and unwinds through code that unlocks once more.
    ///
    /// # Panics
    ///
    /// On a host, panics if another fiber locked the mutex, unless the running fiber unwinds.
    ///
    /// # Safety
    ///
    /// The running fiber has locked the mutex and has forgotten the guard. It has not called this
    /// function for that guard before.
    ///
    /// # Context
    ///
    /// Callable from: fiber. Blocks: nothing.
    #[inline]
    #[track_caller]
    pub unsafe fn force_unlock(&self) {
        let owner = self.raw.owner();
        if !misuse::is_own(owner, "unlocked") {
            return;
        }
        // SAFETY: by the caller's promise the owner is the running fiber, which has no guard left
        // that would unlock.
        unsafe { self.raw.unlock(owner) };
    }
}
