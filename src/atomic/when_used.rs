//! A function that a kernel contains only if it uses what the function is for.
//!
//! A function that is called directly is part of every kernel that contains the call, whether the call
//! is ever reached or not. A function that is called through this word is part of a kernel only if the
//! code that sets the word is. That is the code that needs the function.
//!
//! - **W1**: the word is null, or the address of the one function that is ever set. It stays.
//!
//! It is always set to the same value, so it does not matter how often, and a store is enough. The word
//! is for the bare machine with one core, where interrupt handlers see the stores in their order.

use core::marker::PhantomData;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering, compiler_fence};

/// The word of a function of type `F`, a pointer; see the [module](self).
pub(crate) struct WhenUsed<F> {
    address: AtomicPtr<()>,
    function: PhantomData<F>,
}

impl<F: Copy> WhenUsed<F> {
    const CHECK: () = assert!(
        size_of::<F>() == size_of::<*mut ()>(),
        "it is for pointers to functions"
    );

    /// Returns the word of a function that nobody needs yet.
    pub(crate) const fn new() -> Self {
        let () = Self::CHECK;
        Self {
            address: AtomicPtr::new(ptr::null_mut()),
            function: PhantomData,
        }
    }

    /// Records that the function may be called from now on.
    ///
    /// # Safety
    ///
    /// It is the only function that is ever set here (**W1**).
    #[inline(always)]
    pub(crate) unsafe fn set(&self, function: F) {
        // SAFETY: a pointer to a function, by `CHECK` of the same size.
        let address = unsafe { core::mem::transmute_copy::<F, *mut ()>(&function) };
        self.address.store(address, Ordering::Relaxed);
        // Before whatever needs it.
        compiler_fence(Ordering::Release);
    }

    /// Returns the function.
    ///
    /// # Safety
    ///
    /// The function was set.
    #[inline(always)]
    pub(crate) unsafe fn get(&self) -> F {
        let address = self.address.load(Ordering::Relaxed);
        debug_assert!(!address.is_null(), "whoever needs it sets it first");
        // SAFETY: W1: it is the function that was set.
        unsafe { core::mem::transmute_copy::<*mut (), F>(&address) }
    }
}
