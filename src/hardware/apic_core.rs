//! What a platform knows of one core that has a local APIC.

use super::apic_timers::{ApicTimers, CoreTimer};
use super::error::HardwareError;
use super::first_interrupt::FirstInterrupt;
use super::local_apic::LocalApic;
use crate::platform::Core;
use core::sync::atomic::{AtomicU32, Ordering};

/// One core: how others reach it, and whether its timer works.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct OfCore {
    /// The number of the core's local APIC, or [`NOT_STARTED`].
    apic_id: AtomicU32,
    first_interrupt: FirstInterrupt,
}

/// No core has this number, by which all of them are reached.
const NOT_STARTED: u32 = u32::MAX;

impl OfCore {
    /// Returns a core that is not started.
    pub(super) const fn new() -> Self {
        Self {
            apic_id: AtomicU32::new(NOT_STARTED),
            first_interrupt: FirstInterrupt::new(),
        }
    }

    /// Notes how this core, which is the caller's, is reached.
    pub(super) fn note(&self, apic: LocalApic) -> Result<(), HardwareError> {
        // Whoever sees the number sees what was written before, such as the vector of kicks.
        let (release, relaxed) = (Ordering::Release, Ordering::Relaxed);
        let noted = self
            .apic_id
            .compare_exchange(NOT_STARTED, apic.id(), release, relaxed);
        let Core(core) = this();
        match noted {
            Ok(_) => Ok(()),
            Err(apic_id) => Err(HardwareError::CoreAlreadyStarted { core, apic_id }),
        }
    }

    #[inline]
    pub(super) fn is_started(&self) -> bool {
        self.apic_id.load(Ordering::Relaxed) != NOT_STARTED
    }

    /// Returns the number of the core's local APIC, or `None` if it was not started.
    pub(super) fn apic_id(&self) -> Option<u32> {
        let apic_id = self.apic_id.load(Ordering::Acquire);
        (apic_id != NOT_STARTED).then_some(apic_id)
    }

    /// Returns the timer of this core, which is the caller's.
    #[inline]
    pub(super) const fn timer<'a>(&'a self, timers: &'a ApicTimers) -> CoreTimer<'a> {
        CoreTimer {
            timers,
            first_interrupt: &self.first_interrupt,
        }
    }
}

/// Returns the number of the core of the caller.
#[cfg(feature = "smp")]
#[inline]
pub(super) fn this() -> Core {
    crate::core_local::number()
}

/// Returns the number of the core of the caller, which is the only one.
#[cfg(not(feature = "smp"))]
pub(super) const fn this() -> Core {
    Core(0)
}
