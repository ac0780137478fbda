//! The local APIC of a core: end of interrupt, the core's number, and interrupts to other cores.

use super::cpuid;
use super::error::HardwareError;
use crate::stack::guard;
use core::hint::spin_loop;
use core::ptr;
use x86_64::VirtAddr;
use x86_64::instructions::interrupts::without_interrupts;
use x86_64::registers::model_specific::{ApicBase, ApicBaseFlags, Msr};

/// A register, by its offset in the page of an xAPIC (Intel SDM, volume 3, table 11-1).
#[derive(Clone, Copy)]
pub(super) struct Register(u16);

const ID: Register = Register(0x20);
const VERSION: Register = Register(0x30);
const TASK_PRIORITY: Register = Register(0x80);
const END_OF_INTERRUPT: Register = Register(0xb0);
const SPURIOUS: Register = Register(0xf0);
const COMMAND_LOW: Register = Register(0x300);
const COMMAND_HIGH: Register = Register(0x310);
pub(super) const TIMER: Register = Register(0x320);
pub(super) const TIMER_INITIAL_COUNT: Register = Register(0x380);
pub(super) const TIMER_CURRENT_COUNT: Register = Register(0x390);
pub(super) const TIMER_DIVIDER: Register = Register(0x3e0);

const SOFTWARE_ENABLE: u32 = 1 << 8;
const SEND_PENDING: u32 = 1 << 12;
const LEVEL_ASSERT: u32 = 1 << 14;

impl Register {
    /// Returns the model-specific register of an x2APIC (Intel SDM, volume 3, 11.12.1.2).
    const fn msr(self) -> Msr {
        Msr::new(0x800 + (self.0 >> 4) as u32)
    }
}

/// The local APIC of the core on which a function of this is called.
///
/// Each core has its own, at the same address, so one value serves all cores once the APIC of each
/// core was enabled. On a core whose APIC was not enabled in the same mode, the functions have no
/// effect or fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalApic {
    /// The address of the registers in memory, or nothing in x2APIC mode.
    registers: Option<usize>,
}

/// The cores that get an interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// The core whose local APIC has this number.
    Core(u32),
    /// The core that sends.
    This,
    /// All cores but the one that sends.
    Others,
}

/// What is sent to another core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ipi {
    /// An interrupt with this vector.
    Vector(u8),
    /// A non-maskable interrupt.
    Nmi,
    /// A reset, after which the core waits for [`Startup`](Self::Startup).
    Init,
    /// The start in real mode at this page of 4 KiB, below 1 MiB.
    Startup(u8),
}

impl Ipi {
    const fn command(self) -> u32 {
        LEVEL_ASSERT
            | match self {
                Self::Vector(vector) => vector as u32,
                Self::Nmi => 0b100 << 8,
                Self::Init => 0b101 << 8,
                Self::Startup(page) => 0b110 << 8 | page as u32,
            }
    }
}

impl LocalApic {
    /// Enables this core's local APIC in the mode that needs the least of the kernel.
    ///
    /// This is x2APIC mode if the firmware has switched to it. Otherwise, the registers are used in
    /// memory if they are mapped where the kernel says that all physical memory is. If they are not,
    /// the APIC is switched to x2APIC mode.
    ///
    /// The mapping has to be uncached, or the memory types of the processor (MTRRs) have to say so,
    /// as firmware sees to it on PCs.
    ///
    /// # Errors
    ///
    /// Returns [`HardwareError::LocalApicNotMapped`] if nothing of this is possible, and the errors
    /// of [`xapic`](Self::xapic) and [`x2apic`](Self::x2apic).
    ///
    /// # Safety
    ///
    /// - All page tables can be read at `physical_memory_at` plus their physical address, and
    ///   nobody changes them during the call.
    /// - If the physical page that `IA32_APIC_BASE` names is mapped at `physical_memory_at` plus its
    ///   address, it stays so on every core that uses the value.
    /// - The vector `spurious_vector` has a handler that only returns, without an end of interrupt.
    ///
    /// # Context
    ///
    /// Callable from: boot code. Blocks: nothing.
    pub unsafe fn enable(
        physical_memory_at: VirtAddr,
        spurious_vector: u8,
    ) -> Result<Self, HardwareError> {
        if !cpuid::has_local_apic() {
            return Err(HardwareError::NoLocalApic);
        }
        let (page, flags) = ApicBase::read();
        let registers_at = physical_memory_at + page.start_address().as_u64();
        let address = registers_at.as_ptr::<()>().addr();
        if !flags.contains(ApicBaseFlags::X2APIC_ENABLE) {
            // SAFETY: the caller's promise.
            if unsafe { guard::is_writable_here(address, physical_memory_at) } {
                // SAFETY: the page is mapped, and stays so.
                return unsafe { Self::xapic(registers_at, spurious_vector) };
            }
            if !cpuid::has_x2apic() {
                return Err(HardwareError::LocalApicNotMapped { address });
            }
        }
        // SAFETY: the caller's promise; nobody has used the registers in memory.
        unsafe { Self::x2apic(spurious_vector) }
    }

    /// Enables this core's local APIC, whose registers are in memory.
    ///
    /// All vectors are let through, whatever the firmware did. This may be called again on the same
    /// core, and has to be called on each core.
    ///
    /// # Errors
    ///
    /// Returns [`HardwareError::NoLocalApic`], [`HardwareError::LocalApicIsOff`],
    /// [`HardwareError::IsInX2ApicMode`] or [`HardwareError::NoLocalApicAt`] if the processor has
    /// none, or none in this mode, or if it is not at this address;
    /// [`HardwareError::ReservedVector`] for a vector below 16.
    ///
    /// # Safety
    ///
    /// - `registers_at` is mapped, uncached and writable, to the physical page that `IA32_APIC_BASE`
    ///   names (`0xfee0_0000` on almost all PCs). This holds on every core that uses the value or a
    ///   copy of it, as long as it does so.
    /// - The vector `spurious_vector` has a handler that only returns, without an end of interrupt.
    ///   Old processors demand that its lowest four bits are set.
    ///
    /// # Context
    ///
    /// Callable from: boot code. Blocks: nothing.
    pub unsafe fn xapic(
        registers_at: VirtAddr,
        spurious_vector: u8,
    ) -> Result<Self, HardwareError> {
        if !cpuid::has_local_apic() {
            return Err(HardwareError::NoLocalApic);
        }
        if base_flags().contains(ApicBaseFlags::X2APIC_ENABLE) {
            return Err(HardwareError::IsInX2ApicMode);
        }
        set_base_flags(ApicBaseFlags::LAPIC_ENABLE)?;
        let address = registers_at.as_ptr::<()>().expose_provenance();
        let this = Self {
            registers: Some(address),
        };
        // 10h to 15h is a local APIC in the processor; no memory reads as that by chance.
        let version = this.read(VERSION);
        if !matches!(version & 0xff, 0x10..=0x1f) || version == u32::MAX {
            return Err(HardwareError::NoLocalApicAt { address });
        }
        this.let_through(spurious_vector)
    }

    /// Switches this core's local APIC to x2APIC mode, unless the firmware has, and enables it. Its
    /// registers are then model-specific registers, and need no mapping.
    ///
    /// All vectors are let through, whatever the firmware did. This may be called again on the same
    /// core, and has to be called on each core. There is no way back before the next reset.
    ///
    /// # Errors
    ///
    /// Returns [`HardwareError::NoLocalApic`], [`HardwareError::NoX2Apic`] or
    /// [`HardwareError::LocalApicIsOff`] if the processor has none, or none with this mode, and
    /// [`HardwareError::ReservedVector`] for a vector below 16.
    ///
    /// # Safety
    ///
    /// - The vector `spurious_vector` has a handler that only returns, without an end of interrupt.
    /// - Nobody uses the registers in memory from now on.
    ///
    /// # Context
    ///
    /// Callable from: boot code. Blocks: nothing.
    pub unsafe fn x2apic(spurious_vector: u8) -> Result<Self, HardwareError> {
        if !cpuid::has_local_apic() {
            return Err(HardwareError::NoLocalApic);
        }
        if !cpuid::has_x2apic() {
            return Err(HardwareError::NoX2Apic);
        }
        // One after the other: no other way leads from off to x2APIC mode (Intel SDM, volume 3, 11.12.5).
        set_base_flags(ApicBaseFlags::LAPIC_ENABLE)?;
        set_base_flags(ApicBaseFlags::X2APIC_ENABLE)?;
        Self { registers: None }.let_through(spurious_vector)
    }

    fn let_through(self, spurious_vector: u8) -> Result<Self, HardwareError> {
        check_vector(spurious_vector)?;
        self.write(TASK_PRIORITY, 0);
        self.write(SPURIOUS, SOFTWARE_ENABLE | u32::from(spurious_vector));
        Ok(self)
    }

    /// Returns whether the APIC is in x2APIC mode.
    #[must_use]
    pub const fn is_x2apic(&self) -> bool {
        self.registers.is_none()
    }

    /// Returns the number of this core's local APIC, by which other cores reach it.
    ///
    /// # Context
    ///
    /// Callable from: boot code, fiber, interrupt, scheduler, any core. Blocks: nothing.
    #[must_use]
    pub fn id(&self) -> u32 {
        let id = self.read(ID);
        if self.is_x2apic() { id } else { id >> 24 }
    }

    /// Tells the APIC that the handler of the interrupt that came last is done. Handlers of
    /// exceptions, of NMIs and of the spurious vector must not call it.
    ///
    /// # Context
    ///
    /// Callable from: interrupt. Blocks: nothing.
    #[inline]
    pub fn end_of_interrupt(&self) {
        self.write(END_OF_INTERRUPT, 0);
    }

    /// Sends an interrupt, a reset or a start to other cores, or an interrupt to this one.
    ///
    /// Returns when the APIC has accepted the request. In x2APIC mode the writes of this core to
    /// memory are visible to the other cores before.
    ///
    /// ```no_run
    /// # use kfiber::hardware::{Destination, HardwareError, Ipi, LocalApic};
    /// fn wake(apic: LocalApic, core: u32) -> Result<(), HardwareError> {
    ///     // SAFETY: all cores have a handler for the vector.
    ///     unsafe { apic.send_ipi(Destination::Core(core), Ipi::Vector(0x41)) }
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns [`HardwareError::IpiIsStuck`] if the APIC could not send its last request for about
    /// a million reads, and [`HardwareError::OutOfReach`] for a core above 254 without x2APIC mode.
    /// Nothing was sent then.
    ///
    /// # Safety
    ///
    /// The cores that receive it have a handler for the interrupt, which may come at any time. What
    /// a reset interrupts is not used any more, and a start leads to code that is meant for it.
    ///
    /// # Context
    ///
    /// Callable from: boot code, fiber, interrupt, scheduler, any core. Blocks: nothing.
    pub unsafe fn send_ipi(&self, to: Destination, ipi: Ipi) -> Result<(), HardwareError> {
        const THIS: u32 = 0b01 << 18;
        const OTHERS: u32 = 0b11 << 18;
        let (apic_id, shorthand) = match to {
            Destination::Core(apic_id) => (apic_id, 0),
            Destination::This => (0, THIS),
            Destination::Others => (0, OTHERS),
        };
        let command = ipi.command() | shorthand;
        if self.is_x2apic() {
            finish_writes();
            let command = u64::from(apic_id) << 32 | u64::from(command);
            // SAFETY: the caller's promise.
            unsafe { COMMAND_LOW.msr().write(command) };
            return Ok(());
        }
        if apic_id > 254 {
            return Err(HardwareError::OutOfReach { apic_id });
        }
        // A handler that sends between the two writes would send this command to its own target.
        without_interrupts(|| {
            self.wait_until_sent()?;
            self.write(COMMAND_HIGH, apic_id << 24);
            self.write(COMMAND_LOW, command);
            Ok(())
        })
    }

    fn wait_until_sent(&self) -> Result<(), HardwareError> {
        const PATIENCE: u32 = 1_000_000;
        for _ in 0..PATIENCE {
            if self.read(COMMAND_LOW) & SEND_PENDING == 0 {
                return Ok(());
            }
            spin_loop();
        }
        Err(HardwareError::IpiIsStuck)
    }

    #[inline]
    pub(super) fn read(&self, register: Register) -> u32 {
        match self.registers {
            Some(address) => {
                let register =
                    ptr::with_exposed_provenance::<u32>(address + usize::from(register.0));
                // SAFETY: the promise of `xapic`'s caller; reading changes nothing.
                unsafe { register.read_volatile() }
            }
            None => {
                // SAFETY: the core is in x2APIC mode, and has this register.
                let value = unsafe { register.msr().read() };
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "the upper half is reserved"
                )]
                let value = value as u32;
                value
            }
        }
    }

    #[inline]
    pub(super) fn write(&self, register: Register, value: u32) {
        match self.registers {
            Some(address) => {
                let register =
                    ptr::with_exposed_provenance_mut::<u32>(address + usize::from(register.0));
                // SAFETY: the promise of `xapic`'s caller; the callers know what the value does.
                unsafe { register.write_volatile(value) };
            }
            None => {
                // SAFETY: the core is in x2APIC mode, and has this register.
                unsafe { register.msr().write(u64::from(value)) };
            }
        }
    }
}

/// Waits until all writes to memory are done. Writes to the model-specific registers of an APIC may
/// otherwise overtake them (Intel SDM, volume 3, 11.12.3).
#[inline]
pub(super) fn finish_writes() {
    // SAFETY: every x86_64 processor has the instructions, which change nothing.
    unsafe { core::arch::asm!("mfence", "lfence", options(nostack, preserves_flags)) };
}

/// Checks a vector for the local APIC, which sends none below 16.
pub(super) const fn check_vector(vector: u8) -> Result<(), HardwareError> {
    if vector < 16 {
        return Err(HardwareError::ReservedVector { vector });
    }
    Ok(())
}

fn base_flags() -> ApicBaseFlags {
    ApicBase::read().1
}

/// Sets a flag of `IA32_APIC_BASE`, and checks that it is set.
fn set_base_flags(flag: ApicBaseFlags) -> Result<(), HardwareError> {
    let (frame, flags) = ApicBase::read();
    if !flags.contains(flag) {
        // SAFETY: the APIC stays where it is, and a callers of this module's functions wants it in this mode.
        unsafe { ApicBase::write(frame, flags | flag) };
        if !base_flags().contains(flag) {
            return Err(HardwareError::LocalApicIsOff);
        }
    }
    Ok(())
}
