//! The counter of a high precision event timer, as a reference for other counters.

use super::error::HardwareError;
use super::measure::{Counter, KnownCounter, Sample};
use core::ptr;
use x86_64::VirtAddr;

/// Registers (IA-PC HPET specification 1.0a, 2.3.1).
const CAPABILITIES: usize = 0;
const CONFIGURATION: usize = 0x10;
const MAIN_COUNTER: usize = 0xf0;

const ENABLE: u64 = 1;
const FEMTOSECONDS_PER_SECOND: u64 = 1_000_000_000_000_000;
/// The longest period of a tick that the specification allows: 100 ns.
const MAX_PERIOD_FS: u64 = 100_000_000;

/// The counter of a high precision event timer (HPET), which counts since it was found.
///
/// It serves to measure the time-stamp counter on machines without a PIT: see
/// [`TscClock::measure_hz`](super::TscClock::measure_hz). Its own interrupts are not used, because
/// each core has a better timer.
#[derive(Clone, Copy, Debug)]
pub struct Hpet {
    registers: usize,
    hz: u64,
}

impl Hpet {
    /// Looks for an HPET and starts its counter, if it does not run already.
    ///
    /// The ACPI table `HPET` states the physical address of the registers. It is `0xfed0_0000` on
    /// almost all PCs.
    ///
    /// # Errors
    ///
    /// Returns [`HardwareError::NoHpetAt`] if there is no HPET.
    ///
    /// # Safety
    ///
    /// `registers_at` is mapped, uncached, to the physical page of the HPET's registers, as long as
    /// the value or a copy of it is used. On a machine without an HPET it may be mapped to any
    /// physical page that is not memory.
    ///
    /// # Context
    ///
    /// Callable from: boot code, fiber, scheduler. Blocks: nothing.
    pub unsafe fn at(registers_at: VirtAddr) -> Result<Self, HardwareError> {
        let mut this = Self {
            registers: registers_at.as_ptr::<()>().expose_provenance(),
            hz: 0,
        };
        // The upper half is the period of a tick. Registers that are not there read as all ones, or as zeros.
        let period_fs = this.read(CAPABILITIES) >> 32;
        if !(1..=MAX_PERIOD_FS).contains(&period_fs) {
            return Err(this.stands_still());
        }
        this.hz = FEMTOSECONDS_PER_SECOND / period_fs;
        let configuration = this.read(CONFIGURATION);
        if configuration & ENABLE == 0 {
            let register = ptr::with_exposed_provenance_mut::<u64>(this.registers + CONFIGURATION);
            // SAFETY: the caller's promise; nobody used a counter that stood still.
            unsafe { register.write_volatile(configuration | ENABLE) };
        }
        Ok(this)
    }

    /// Returns the frequency of the counter in Hz, at least 10 MHz.
    #[must_use]
    pub const fn hz(&self) -> u64 {
        self.hz
    }

    /// Returns the counter. On old devices it has 32 bits only.
    ///
    /// # Context
    ///
    /// Callable from: boot code, fiber, interrupt, scheduler, any core. Blocks: nothing.
    #[must_use]
    pub fn counter(&self) -> u64 {
        self.read(MAIN_COUNTER)
    }

    fn read(&self, register: usize) -> u64 {
        let register = ptr::with_exposed_provenance::<u64>(self.registers + register);
        // SAFETY: the promise of `at`'s caller; reading these registers changes nothing.
        unsafe { register.read_volatile() }
    }
}

impl Counter for Hpet {
    // What 64 bits count and 32 bits count differs only after more than 40 seconds.
    const BITS: u32 = 32;

    fn stands_still(&self) -> HardwareError {
        HardwareError::NoHpetAt {
            address: self.registers,
        }
    }

    fn sample(&self) -> Sample {
        Sample::take(|| self.counter())
    }
}

impl KnownCounter for Hpet {
    fn hz(&self) -> u64 {
        self.hz
    }
}
