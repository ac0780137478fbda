//! What the guards of a lock do that point to a locked value, or to a part of it.

/// Implements the guard `$name`, of which `map` makes a `$mapped`. `$access` is `mut` if the guard
/// may change the part, and `$unlock` unlocks the lock for the fiber that locked it.
macro_rules! impl_guard {
    ($name:ident => $mapped:ident, $raw:ty, [$($access:tt)?], $unlock:expr) => {
        // SAFETY: a shared guard gives shared access to the part.
        unsafe impl<T: ?Sized + Sync> Sync for $name<'_, T> {}

        impl<'a, T: ?Sized> $name<'a, T> {
            /// Makes the guard that unlocks `raw` for its owner. Only one may exist.
            ///
            /// # Safety
            ///
            /// The fiber of `owner` must have locked `raw`, for as long as this guard lives. `part`
            /// must point into the value of that lock, or to what lives as long.
            #[inline(always)]
            pub(super) const unsafe fn new(raw: &'a $raw, owner: OwnerWord, part: NonNull<T>) -> Self {
                Self {
                    raw,
                    owner,
                    part,
                    lent: PhantomData,
                }
            }

            /// Replaces the guard by one of a part of what it points to. If `choose` panics, the lock
            /// is unlocked.
            ///
            /// This is an associated function, called as `map(guard, …)`, so that it does not hide a
            /// method of the part.
            ///
            /// # Context
            ///
            /// Callable from: fiber. Blocks: nothing, unless `choose` waits.
            pub fn map<U: ?Sized>(
                $($access)? guard: Self,
                choose: impl FnOnce(&$($access)? T) -> &$($access)? U,
            ) -> $mapped<'a, U> {
                let part = NonNull::from(choose(&$($access)? guard));
                let guard = ManuallyDrop::new(guard);
                // SAFETY: the guard showed both, and is used no more.
                unsafe { $mapped::new(guard.raw, guard.owner, part) }
            }

            /// Replaces the guard by one of a part of what it points to, if `choose` returns one. If
            /// `choose` panics, the lock is unlocked.
            ///
            /// # Errors
            ///
            /// Gives the guard back if `choose` returns `None`.
            ///
            /// # Context
            ///
            /// Callable from: fiber. Blocks: nothing, unless `choose` waits.
            pub fn try_map<U: ?Sized>(
                $($access)? guard: Self,
                choose: impl FnOnce(&$($access)? T) -> Option<&$($access)? U>,
            ) -> Result<$mapped<'a, U>, Self> {
                let Some(part) = choose(&$($access)? guard).map(NonNull::from) else {
                    return Err(guard);
                };
                let guard = ManuallyDrop::new(guard);
                // SAFETY: the guard showed both, and is used no more.
                Ok(unsafe { $mapped::new(guard.raw, guard.owner, part) })
            }
        }

        impl<T: ?Sized> Deref for $name<'_, T> {
            type Target = T;

            #[inline(always)]
            fn deref(&self) -> &T {
                // SAFETY: the guard shows that the lock protects the part from changes by others.
                unsafe { self.part.as_ref() }
            }
        }

        $(impl<T: ?Sized> DerefMut for $name<'_, T> {
            #[inline(always)]
            fn deref_mut(&$access self) -> &$access T {
                // SAFETY: the guard shows that nobody else may access the part.
                unsafe { self.part.as_mut() }
            }
        })?

        impl<T: ?Sized> Drop for $name<'_, T> {
            #[inline(always)]
            fn drop(&mut self) {
                // On a host, a thread local can carry a guard to another fiber. On the bare machine
                // a guard is not `Send`, so this costs nothing there.
                misuse::check_guard(self.owner, "dropped");
                let unlock: fn(&$raw, OwnerWord) = $unlock;
                unlock(self.raw, self.owner);
            }
        }

        impl<T: ?Sized + fmt::Debug> fmt::Debug for $name<'_, T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                (**self).fmt(f)
            }
        }

        impl<T: ?Sized + fmt::Display> fmt::Display for $name<'_, T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                (**self).fmt(f)
            }
        }
    };
}

pub(super) use impl_guard;
