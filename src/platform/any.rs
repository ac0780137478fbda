//! A platform of any type, as a loop calls it: the functions of the type are known from the
//! beginning, and the address from the first `run` on.
//!
//! - **A1**: the address is null, or that of the only platform of the scheduler, whose type is the one
//!   that the functions are for. It is set before a fiber or a loop runs, and stays.
//!
//! The address is always set to the same value, so it does not matter how often, and a store is enough.

#[cfg(any(target_os = "linux", feature = "smp"))]
use super::Core;
use super::{Nanoseconds, Platform};
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

/// The functions of a platform of one type. Each takes the address of the platform.
struct Calls {
    now: unsafe fn(*const ()) -> Nanoseconds,
    set_timer: unsafe fn(*const (), Nanoseconds),
    idle: unsafe fn(*const ()),
    late_timer_limit: unsafe fn(*const ()) -> Nanoseconds,
    #[cfg(any(target_os = "linux", feature = "smp"))]
    kick: unsafe fn(*const (), Core),
    #[cfg(feature = "smp")]
    core: unsafe fn(*const ()) -> Core,
}

/// The platform of a scheduler; see the [module](self).
pub(crate) struct AnyPlatform {
    address: AtomicPtr<()>,
    calls: &'static Calls,
}

/// Returns a reference to a platform.
///
/// # Safety
///
/// The address must be that of a `P`, in a static.
#[inline(always)]
const unsafe fn at<'a, P>(address: *const ()) -> &'a P {
    // SAFETY: the caller's promise.
    unsafe { &*address.cast() }
}

impl Calls {
    /// Returns the functions of the platforms of a type.
    const fn of<P: Platform>() -> &'static Self {
        const {
            &Self {
                // SAFETY: the callers' promise, here and below.
                now: |it| unsafe { at::<P>(it) }.now(),
                // SAFETY: as above.
                set_timer: |it, deadline| unsafe { at::<P>(it) }.set_timer(deadline),
                // SAFETY: as above.
                idle: |it| unsafe { at::<P>(it) }.idle(),
                // SAFETY: as above.
                late_timer_limit: |it| unsafe { at::<P>(it) }.late_timer_limit(),
                #[cfg(any(target_os = "linux", feature = "smp"))]
                // SAFETY: as above.
                kick: |it, core| unsafe { at::<P>(it) }.kick(core),
                #[cfg(feature = "smp")]
                // SAFETY: as above.
                core: |it| unsafe { at::<P>(it) }.core(),
            }
        }
    }
}

impl AnyPlatform {
    /// Returns the place of a platform of this type, whose address is not known yet.
    pub(crate) const fn new<P: Platform>() -> Self {
        Self {
            address: AtomicPtr::new(ptr::null_mut()),
            calls: Calls::of::<P>(),
        }
    }

    /// Sets the address.
    ///
    /// # Safety
    ///
    /// It must be the only platform for which this is ever called, and of the type for which this
    /// place was made (**A1**).
    #[inline(always)]
    pub(crate) unsafe fn set<P: Platform>(&self, platform: &'static P) {
        let address = ptr::from_ref(platform).cast_mut().cast();
        self.address.store(address, Ordering::Release);
    }

    /// Returns whether the address was set.
    #[cfg(any(target_os = "linux", feature = "smp"))]
    pub(crate) fn is_set(&self) -> bool {
        !self.address.load(Ordering::Relaxed).is_null()
    }

    /// Returns the address, for code of a loop or a fiber.
    #[inline(always)]
    fn address(&self) -> *const () {
        let address = self.address.load(Ordering::Acquire);
        debug_assert!(!address.is_null(), "A1: it is set before a loop runs");
        address
    }

    /// Calls [`Platform::now`].
    #[inline(always)]
    pub(crate) fn now(&self) -> Nanoseconds {
        // SAFETY: A1.
        unsafe { (self.calls.now)(self.address()) }
    }

    /// Calls [`Platform::set_timer`].
    pub(crate) fn set_timer(&self, deadline: Nanoseconds) {
        // SAFETY: A1.
        unsafe { (self.calls.set_timer)(self.address(), deadline) };
    }

    /// Calls [`Platform::idle`].
    pub(crate) fn idle(&self) {
        // SAFETY: A1.
        unsafe { (self.calls.idle)(self.address()) };
    }

    /// Calls [`Platform::late_timer_limit`].
    pub(crate) fn late_timer_limit(&self) -> Nanoseconds {
        // SAFETY: A1.
        unsafe { (self.calls.late_timer_limit)(self.address()) }
    }

    /// Calls [`Platform::kick`], if a loop ever ran.
    #[cfg(any(target_os = "linux", feature = "smp"))]
    pub(crate) fn kick(&self, core: Core) {
        if self.is_set() {
            // SAFETY: A1.
            unsafe { (self.calls.kick)(self.address(), core) };
        }
    }

    /// Calls [`Platform::core`].
    #[cfg(feature = "smp")]
    pub(crate) fn core(&self) -> Core {
        // SAFETY: A1.
        unsafe { (self.calls.core)(self.address()) }
    }
}
