//! The platform of cores that have local APICs: the number of each core, the interrupt that wakes
//! it, a timer for each, and one clock.

use super::apic_core::{OfCore, this};
use super::apic_timers::{ApicTimerMode, ApicTimers, CoreTimer};
use super::error::HardwareError;
use super::local_apic::{Destination, Ipi, LocalApic, check_vector};
use super::tsc::TscClock;
use crate::platform::{Core, Nanoseconds, Platform, Timer, sleep_until_interrupt};
use core::sync::atomic::{AtomicU8, Ordering};

/// The platform of a scheduler with the cores of a PC. It can be kept in a static, and each core
/// starts its part of it at boot.
///
/// With one core it does what `BareX86_64<LocalApicTimer>` does. More than one needs the feature
/// `smp`.
///
/// The example is in the documentation of the [module](super#several-cores).
///
/// A timer of a core that never interrupts is noticed on that core, as the
/// [module](super#timers-that-never-interrupt) says.
#[derive(Debug)]
pub struct ApicCores<const CORES: usize> {
    timers: ApicTimers,
    kick_vector: AtomicU8,
    cores: [OfCore; CORES],
}

/// The vectors of the interrupts of an [`ApicCores`], the same on all cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApicVectors {
    /// The vector of the timer. Its handler calls
    /// [`timer_interrupt`](crate::scheduler::Scheduler::timer_interrupt) and then
    /// [`end_of_timer_interrupt`](ApicCores::end_of_timer_interrupt).
    pub timer: u8,
    /// The vector by which one core ends the sleep of another. Its handler calls
    /// [`end_of_interrupt`](ApicCores::end_of_interrupt), and nothing else is needed.
    pub kick: u8,
}

impl<const CORES: usize> ApicCores<CORES> {
    /// Returns the platform of cores that are not started.
    ///
    /// It does not compile for more than one core without the feature `smp`.
    ///
    /// # Safety
    ///
    /// An interrupt handler of this kernel that turns interrupts on again calls no function of this
    /// crate while they are on (**P1**).
    #[must_use]
    pub const unsafe fn new() -> Self {
        const {
            assert!(
                CORES == 1 || cfg!(feature = "smp"),
                "several cores need the feature `smp` of kfiber"
            );
        }
        Self {
            timers: ApicTimers::new(),
            kick_vector: AtomicU8::new(0),
            cores: [const { OfCore::new() }; CORES],
        }
    }

    /// Starts the clock, and the timer of this core, which is the first one, in the best mode that
    /// it has.
    ///
    /// The frequency of the time-stamp counter is that which CPUID states or, if it states none,
    /// that which is measured with the PIT. Without TSC-deadline mode, that of the timer is measured
    /// as well. Each measurement takes 25 ms. The other cores' timers have the same frequency.
    ///
    /// # Errors
    ///
    /// - [`HardwareError::VectorsAreEqual`] if both vectors are the same.
    /// - [`HardwareError::TooManyCores`] if this core's number is not below `CORES`.
    /// - [`HardwareError::CoreAlreadyStarted`] if a core with its number was started.
    /// - The errors of [`LocalApicTimer::start`](super::LocalApicTimer::start).
    ///
    /// # Panics
    ///
    /// With the feature `smp`, panics if this core has no
    /// [`CoreLocal`](crate::scheduler#several-cores).
    ///
    /// # Safety
    ///
    /// - On each core that uses this, both vectors have handlers that do what [`ApicVectors`] says.
    /// - Nobody else uses the timer of the local APIC, and the APIC is enabled on this core.
    /// - Nobody else uses channel 2 of the PIT or I/O port 0x61 during the call.
    ///
    /// # Context
    ///
    /// Callable from: boot code. Blocks: the core, for up to 50 ms.
    #[track_caller]
    pub unsafe fn start(&self, apic: LocalApic, vectors: ApicVectors) -> Result<(), HardwareError> {
        let core = self.prepare(vectors)?;
        // SAFETY: the caller's promise.
        unsafe { self.timers.start(apic, vectors.timer) }?;
        core.note(apic)
    }

    /// Behaves as [`start`](Self::start), but takes the mode and the frequency of the time-stamp
    /// counter in Hz from the caller, who knows that it is constant.
    ///
    /// # Errors
    ///
    /// Returns the first three errors of [`start`](Self::start), and those of
    /// [`LocalApicTimer::start_with`](super::LocalApicTimer::start_with).
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start).
    ///
    /// # Safety
    ///
    /// The first two requirements of [`start`](Self::start) apply.
    ///
    /// # Context
    ///
    /// Callable from: boot code. Blocks: the core, for up to 25 ms.
    #[track_caller]
    pub unsafe fn start_with(
        &self,
        apic: LocalApic,
        vectors: ApicVectors,
        mode: ApicTimerMode,
        tsc_hz: u64,
    ) -> Result<(), HardwareError> {
        let core = self.prepare(vectors)?;
        // SAFETY: the caller's promise.
        unsafe { self.timers.start_with(apic, vectors.timer, mode, tsc_hz) }?;
        core.note(apic)
    }

    /// Starts the timer of another core, with what [`start`](Self::start) found on the first one.
    ///
    /// # Errors
    ///
    /// - [`HardwareError::TooManyCores`] if this core's number is not below `CORES`.
    /// - [`HardwareError::CoreAlreadyStarted`] if a core with its number was started.
    /// - [`HardwareError::ApicModesDiffer`] if this core's local APIC is in another mode than that
    ///   of the first core, so that the two cannot be used in the same way.
    ///
    /// # Panics
    ///
    /// Panics if the first core was not started, and as [`start`](Self::start).
    ///
    /// # Safety
    ///
    /// - The first two requirements of [`start`](Self::start) apply to this core.
    /// - Its time-stamp counter agrees with that of the first core.
    ///
    /// # Context
    ///
    /// Callable from: boot code, any core. Blocks: nothing.
    #[track_caller]
    pub unsafe fn start_on_this_core(&self, apic: LocalApic) -> Result<(), HardwareError> {
        let core = self.this_core()?;
        if apic.is_x2apic() != self.timers.apic().is_x2apic() {
            return Err(HardwareError::ApicModesDiffer);
        }
        core.note(apic)?;
        // SAFETY: the caller's promise.
        unsafe { self.timers.listen() };
        Ok(())
    }

    /// Checks what can be wrong before the first core is started, and returns what belongs to it.
    #[track_caller]
    fn prepare(&self, vectors: ApicVectors) -> Result<&OfCore, HardwareError> {
        let ApicVectors { timer, kick } = vectors;
        check_vector(kick)?;
        if timer == kick {
            return Err(HardwareError::VectorsAreEqual { vector: kick });
        }
        let core = self.this_core()?;
        self.kick_vector.store(kick, Ordering::Relaxed);
        Ok(core)
    }

    /// Returns what belongs to the core of the caller, and checks that there is something.
    #[track_caller]
    fn this_core(&self) -> Result<&OfCore, HardwareError> {
        #[cfg(feature = "smp")]
        crate::core_local::check();
        let Core(core) = this();
        let error = HardwareError::TooManyCores { core, cores: CORES };
        self.cores.get(core).ok_or(error)
    }

    /// Returns the clock of all cores.
    #[must_use]
    pub const fn clock(&self) -> &TscClock {
        self.timers.clock()
    }

    /// Returns the mode of the timers, or `None` if the first core was not started.
    #[must_use]
    pub fn timer_mode(&self) -> Option<ApicTimerMode> {
        self.timers.mode()
    }

    /// Returns the number of a core's local APIC, by which [`LocalApic::send_ipi`] reaches it, or
    /// `None` if it was not started.
    ///
    /// # Context
    ///
    /// Callable from: boot code, fiber, interrupt, scheduler, any core. Blocks: nothing.
    #[must_use]
    pub fn apic_id(&self, Core(core): Core) -> Option<u32> {
        self.cores.get(core)?.apic_id()
    }

    /// Tells the local APIC that the handler of the timer's interrupt is done.
    ///
    /// # Panics
    ///
    /// Panics if this core was not started.
    ///
    /// # Context
    ///
    /// Callable from: interrupt. Blocks: nothing.
    #[inline]
    pub fn end_of_timer_interrupt(&self) {
        self.timer_here().end_of_interrupt();
    }

    /// Tells the local APIC that the handler of another interrupt is done, such as a kick's.
    ///
    /// # Panics
    ///
    /// Panics if the first core was not started.
    ///
    /// # Context
    ///
    /// Callable from: interrupt. Blocks: nothing.
    #[inline]
    pub fn end_of_interrupt(&self) {
        self.timers.apic().end_of_interrupt();
    }

    /// Returns the timer of the core of the caller.
    #[inline]
    fn timer_here(&self) -> CoreTimer<'_> {
        let Core(number) = this();
        let core = self.cores.get(number).filter(|core| core.is_started());
        match core {
            Some(core) => core.timer(&self.timers),
            None => not_started(number),
        }
    }
}

// SAFETY: what lets the processor sleep is that of `BareX86_64`, and P1 is the promise of `new`'s caller. A kick is an
// interrupt, which ends a sleep.
unsafe impl<const CORES: usize> Platform for ApicCores<CORES> {
    #[inline]
    fn now(&self) -> Nanoseconds {
        self.timers.clock().now()
    }

    #[inline]
    fn set_timer(&self, deadline: Nanoseconds) {
        self.timer_here().interrupt_at(deadline);
    }

    fn idle(&self) {
        sleep_until_interrupt(&self.timer_here(), self.late_timer_limit());
    }

    #[inline]
    fn core(&self) -> Core {
        this()
    }

    /// A core that was not started does not sleep: [`idle`](Self::idle) panics there.
    fn kick(&self, core: Core) {
        if CORES == 1 {
            return;
        }
        let Some(apic_id) = self.apic_id(core) else {
            return;
        };
        let vector = Ipi::Vector(self.kick_vector.load(Ordering::Relaxed));
        let apic = self.timers.apic();
        // SAFETY: the vector has a handler, as the caller of `start_on_this_core` vouched.
        let sent = unsafe { apic.send_ipi(Destination::Core(apic_id), vector) };
        if let Err(error) = sent {
            panic!("core {} cannot be woken: {error}", core.0);
        }
    }
}

#[cold]
#[inline(never)]
fn not_started(core: usize) -> ! {
    panic!(
        "core {core} was not started: call `ApicCores::start` on the first core, and `start_on_this_core` on each of the \
         others, before the scheduler runs"
    );
}
