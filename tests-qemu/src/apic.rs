//! The registers of the running core's local APIC, in xAPIC mode (memory) and in x2APIC mode (MSRs).
//!
//! In both modes a register has the same number and, but for the identity and the interrupt command, the same layout
//! (Intel SDM, volume 3A, sections 11.4 and 11.12). In x2APIC mode the register at offset `N` is the MSR `0x800 + N / 16`.

use x86_64::{
    instructions::interrupts::without_interrupts,
    registers::model_specific::{ApicBase, ApicBaseFlags, Msr},
};

/// Offsets of the registers in xAPIC mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Register {
    Id = 0x20,
    EndOfInterrupt = 0xb0,
    Spurious = 0xf0,
    /// In xAPIC mode the lower half of the command.
    Command = 0x300,
    /// Only in xAPIC mode: the upper half of the command.
    CommandDestination = 0x310,
    Timer = 0x320,
    TimerInitialCount = 0x380,
    TimerCurrentCount = 0x390,
    TimerDivider = 0x3e0,
}

/// What one core sends to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// An interrupt with this vector.
    Fixed(u8),
    /// Stops the core until [`Startup`](Self::Startup) arrives.
    Init,
    /// Starts the core in real mode at the beginning of this page of 4 KiB, below 1 MiB.
    Startup(u8),
}

impl Message {
    /// The lower half of the interrupt command: edge-triggered, level "assert", to one core.
    const fn command(self) -> u32 {
        const ASSERT: u32 = 1 << 14;
        ASSERT
            | match self {
                Self::Fixed(vector) => vector as u32,
                Self::Init => 0b101 << 8,
                Self::Startup(page) => 0b110 << 8 | page as u32,
            }
    }
}

/// Set in the command while it is being sent (xAPIC mode).
const IS_PENDING: u32 = 1 << 12;
/// Set in the register of spurious interrupts: without it the APIC delivers nothing.
const SOFTWARE_ENABLE: u32 = 1 << 8;
/// Bit of leaf 1 of `cpuid`, in ecx: the processor has the x2APIC mode.
const HAS_X2APIC: u32 = 1 << 21;

/// Enables this core's APIC, in x2APIC mode if the processor has it.
pub(crate) fn enable(spurious_vector: u8) {
    if core::arch::x86_64::__cpuid(1).ecx & HAS_X2APIC != 0 {
        let (base, flags) = ApicBase::read();
        let enabled = flags | ApicBaseFlags::LAPIC_ENABLE | ApicBaseFlags::X2APIC_ENABLE;
        // SAFETY: the processor has the mode, and this module asks for the mode at each access.
        unsafe { ApicBase::write(base, enabled) };
    }
    write(
        Register::Spurious,
        SOFTWARE_ENABLE | u32::from(spurious_vector),
    );
}

/// Returns whether this core's APIC is in x2APIC mode.
#[must_use]
pub fn is_x2apic() -> bool {
    ApicBase::read().1.contains(ApicBaseFlags::X2APIC_ENABLE)
}

/// Returns the identity of this core's APIC: the address of messages to this core.
#[must_use]
pub fn id() -> u32 {
    let id = read(Register::Id);
    if is_x2apic() { id } else { id >> 24 }
}

/// Sends a message to the core whose APIC has this identity, and waits until it has been sent.
///
/// # Panics
///
/// Panics if the identity has more than 8 bits in xAPIC mode, which cannot address it.
pub fn send(id: u32, message: Message) {
    let command = message.command();
    if is_x2apic() {
        // Unlike a store, `wrmsr` to the APIC does not wait for older stores of this core to become visible.
        core::sync::atomic::fence(core::sync::atomic::Ordering::SeqCst);
        let command = u64::from(id) << 32 | u64::from(command);
        // SAFETY: a command to another core, or an interrupt for which this kernel has a handler.
        unsafe { msr(Register::Command).write(command) };
        return;
    }
    assert!(id <= 0xff, "APIC {id} needs the x2APIC mode");
    // A handler that sends something in between would change the destination.
    without_interrupts(|| {
        write(Register::CommandDestination, id << 24);
        write(Register::Command, command);
        while read(Register::Command) & IS_PENDING != 0 {
            core::hint::spin_loop();
        }
    });
}

/// Returns a register's content.
pub(crate) fn read(register: Register) -> u32 {
    let (base, flags) = ApicBase::read();
    if flags.contains(ApicBaseFlags::X2APIC_ENABLE) {
        // SAFETY: the register exists in this mode; reading it changes nothing.
        let content = unsafe { msr(register).read() };
        return u32::try_from(content & u64::from(u32::MAX)).expect("masked");
    }
    let address = base.start_address().as_u64() + register as u64;
    // SAFETY: A register of the APIC, mapped one to one; reading it changes nothing.
    unsafe { (address as *const u32).read_volatile() }
}

/// Changes a register.
pub(crate) fn write(register: Register, content: u32) {
    let (base, flags) = ApicBase::read();
    if flags.contains(ApicBaseFlags::X2APIC_ENABLE) {
        // SAFETY: the register exists in this mode; the callers know its meaning.
        unsafe { msr(register).write(content.into()) };
        return;
    }
    let address = base.start_address().as_u64() + register as u64;
    // SAFETY: A register of the APIC, mapped one to one; the callers know its meaning.
    unsafe { (address as *mut u32).write_volatile(content) };
}

const fn msr(register: Register) -> Msr {
    Msr::new(0x800 + register as u32 / 16)
}
