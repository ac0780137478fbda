//! What can be wrong with the hardware, or with what was said of it.

use core::fmt;

/// The error returned when a device is not there, does not work, or is not as it was said to be.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HardwareError {
    /// The processor has no local APIC (CPUID leaf 1, EDX bit 9).
    NoLocalApic,
    /// The local APIC is turned off, and cannot be turned on again before a reset.
    LocalApicIsOff,
    /// The local APIC is in x2APIC mode, in which its registers are not in memory.
    IsInX2ApicMode,
    /// The processor has no x2APIC mode (CPUID leaf 1, ECX bit 21).
    NoX2Apic,
    /// No local APIC answers at this address.
    NoLocalApicAt {
        /// The virtual address.
        address: usize,
    },
    /// The local APIC's page is not mapped writable, and the processor has no x2APIC mode.
    LocalApicNotMapped {
        /// The virtual address at which it was looked for.
        address: usize,
    },
    /// The vector is one of the processor's own, below 32 (or 16 for the local APIC).
    ReservedVector {
        /// The vector.
        vector: u8,
    },
    /// One vector was named for two kinds of interrupts.
    VectorsAreEqual {
        /// The vector.
        vector: u8,
    },
    /// This core's number is too large for the platform.
    TooManyCores {
        /// The number of this core.
        core: usize,
        /// The number of cores that the platform has.
        cores: usize,
    },
    /// A core with this number was started before.
    CoreAlreadyStarted {
        /// The number.
        core: usize,
        /// The number of the local APIC of the core that has it.
        apic_id: u32,
    },
    /// The local APIC of this core is in x2APIC mode and that of the first core is not, or the other
    /// way round.
    ApicModesDiffer,
    /// The local APIC's timer does not count.
    ApicTimerDoesNotTick,
    /// The local APIC's timer has no TSC-deadline mode (CPUID leaf 1, ECX bit 24).
    NoTscDeadline,
    /// The local APIC did not send the last interrupt to another core, so it cannot send one now.
    IpiIsStuck,
    /// An APIC that is not in x2APIC mode cannot send to this core.
    OutOfReach {
        /// The number of the core's local APIC.
        apic_id: u32,
    },
    /// The time-stamp counter changes its frequency or stops in some states of the processor (CPUID
    /// leaf `8000_0007h`, EDX bit 8).
    TscVaries,
    /// The time-stamp counter does not count.
    TscDoesNotTick,
    /// The programmable interval timer does not count, so the machine has none.
    PitDoesNotTick,
    /// No HPET answers at this address, or its counter does not count.
    NoHpetAt {
        /// The virtual address.
        address: usize,
    },
    /// The machine was stopped again and again while a frequency was measured.
    TooBusyToMeasure,
    /// A counter has a frequency that no machine has.
    ImpossibleFrequency {
        /// The frequency in Hz.
        hz: u64,
    },
    /// The timer or the clock was started before.
    AlreadyStarted,
    /// No serial port answers at these I/O ports.
    NoSerialPortAt {
        /// The number of the first I/O port.
        port: u16,
    },
}

debug_is_display!(HardwareError);

impl fmt::Display for HardwareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match *self {
            Self::NoLocalApic => "the processor has no local APIC: use `PitTimer`",
            Self::LocalApicIsOff => {
                "the local APIC is turned off until the next reset: turn it on in the firmware's setup, or use `PitTimer`"
            }
            Self::IsInX2ApicMode => {
                "the local APIC is in x2APIC mode, so its registers are not in memory: use `LocalApic::x2apic`"
            }
            Self::NoX2Apic => "the processor has no x2APIC mode: use `LocalApic::xapic`",
            Self::NoLocalApicAt { address } => {
                return write!(
                    f,
                    "no local APIC answers at {address:#x}: map the physical page that IA32_APIC_BASE names there, uncached"
                );
            }
            Self::LocalApicNotMapped { address } => {
                return write!(
                    f,
                    "the local APIC is not mapped at {address:#x}: map the physical page that IA32_APIC_BASE names, writable and \
                     uncached, and pass its address to `LocalApic::xapic`"
                );
            }
            Self::ReservedVector { vector } => {
                return write!(
                    f,
                    "vector {vector} belongs to the processor's exceptions: choose one from 32 to 255"
                );
            }
            Self::VectorsAreEqual { vector } => {
                return write!(
                    f,
                    "vector {vector} is that of the timer and of the kicks: choose another one for the kicks, which would pass \
                     for the timer's interrupts"
                );
            }
            Self::TooManyCores { core, cores } => {
                return write!(
                    f,
                    "core {core} is one too many for a platform of {cores}: raise the number in the types of the platform and of \
                     the scheduler to {}, or leave the core stopped",
                    core.saturating_add(1)
                );
            }
            Self::CoreAlreadyStarted { core, apic_id } => {
                return write!(
                    f,
                    "core {core} was started before, with APIC id {apic_id}: start each core once, and give each another number \
                     by `CoreLocal::install`"
                );
            }
            Self::ApicModesDiffer => {
                "one core's local APIC is in x2APIC mode and another one's is not: use `LocalApic::x2apic` on all cores, or \
                 `LocalApic::xapic` on all"
            }
            Self::ApicTimerDoesNotTick => {
                "the timer of the local APIC does not count: use `PitTimer`"
            }
            Self::NoTscDeadline => {
                "the processor's timer has no TSC-deadline mode: use `ApicTimerMode::OneShot`"
            }
            Self::IpiIsStuck => {
                "the local APIC does not get rid of its last interrupt to another core: check that this core exists and is \
                 not in reset"
            }
            Self::OutOfReach { apic_id } => {
                return write!(
                    f,
                    "the core with APIC id {apic_id} is out of reach, since only ids up to 254 are without x2APIC mode: use \
                     `LocalApic::x2apic` on all cores"
                );
            }
            Self::TscVaries => {
                "the frequency of the time-stamp counter is not constant: pass its frequency to `start_with` if you know that \
                 it is constant here, or implement `Timer` on an HPET"
            }
            Self::TscDoesNotTick => {
                "the time-stamp counter does not count: implement `Timer` on another clock"
            }
            Self::PitDoesNotTick => {
                "the PIT does not count, so its frequency cannot be compared: map an HPET and measure with \
                 `TscClock::measure_hz(Reference::Hpet(..))`, or pass a known frequency to `start_with`"
            }
            Self::NoHpetAt { address } => {
                return write!(
                    f,
                    "no HPET counts at {address:#x}: map the physical page that the ACPI table `HPET` names there, uncached, or \
                     use `Reference::Pit`"
                );
            }
            Self::TooBusyToMeasure => {
                "the machine stood still again and again while a frequency was measured: measure again, or pass a known \
                 frequency to `start_with`"
            }
            Self::ImpossibleFrequency { hz } => {
                return write!(
                    f,
                    "a frequency of {hz} Hz is impossible: pass the right one, between 1 MHz and 100 GHz"
                );
            }
            Self::AlreadyStarted => "this was started before: start it once, at boot",
            Self::NoSerialPortAt { port } => {
                return write!(
                    f,
                    "no serial port answers at I/O port {port:#x}: the first of a PC is at 0x3f8, the second at 0x2f8"
                );
            }
        };
        f.write_str(text)
    }
}

impl core::error::Error for HardwareError {}
