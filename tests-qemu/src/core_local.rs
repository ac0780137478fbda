//! What each core has at its GS base: its number, its local APIC's identity, a count of kicks, and kfiber's words.

use core::{
    arch::asm,
    mem::offset_of,
    sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering},
};

#[cfg(feature = "smp")]
use kfiber::{platform::Core, scheduler::CoreLocal};
use x86_64::{
    VirtAddr,
    instructions::{hlt, interrupts::disable},
    registers::model_specific::GsBase,
};

use crate::apic::{self, Message};

/// Vector by which one core ends the sleep of another.
pub const KICK_VECTOR: u8 = 34;
/// The most cores that a test kernel starts.
pub const MOST: usize = 8;

/// Number of cores that run, the first one included.
static COUNT: AtomicUsize = AtomicUsize::new(1);

/// The memory at a core's GS base.
///
/// With the feature `smp` it shows how a kernel that has such an area embeds kfiber's words: `build.rs` tells the linker
/// their offset.
#[repr(C, align(64))]
struct PerCore {
    /// The core's number, at offset 0.
    number: AtomicUsize,
    /// The identity of the core's local APIC.
    apic_id: AtomicU32,
    /// How often the core was kicked.
    kicks: AtomicUsize,
    /// For a kernel with system calls: the address of the core's task state segment, and room for a stack pointer of user
    /// code.
    system_calls: [AtomicU64; 2],
    /// What kfiber knows of the core.
    #[cfg(feature = "smp")]
    kfiber: CoreLocal,
}

/// The offset that `build.rs` passes to the linker.
#[cfg(feature = "smp")]
const _: () = assert!(offset_of!(PerCore, kfiber) == 64);

static LOCALS: [PerCore; MOST] = [const {
    PerCore {
        number: AtomicUsize::new(0),
        apic_id: AtomicU32::new(0),
        kicks: AtomicUsize::new(0),
        system_calls: [const { AtomicU64::new(0) }; 2],
        #[cfg(feature = "smp")]
        kfiber: CoreLocal::new(),
    }
}; MOST];

/// The offset from the GS base of the address that [`set_task_state_segment`] stores. The next word is free for the entry
/// of a system call.
pub const SYSTEM_CALLS_AT: usize = offset_of!(PerCore, system_calls);

/// Stores the address of the task state segment of a core, where the entry of a system call finds it.
///
/// # Panics
///
/// Panics if there is no such core.
pub fn set_task_state_segment(core: usize, address: u64) {
    LOCALS[core].system_calls[0].store(address, Ordering::Relaxed);
}

/// Returns the GS base of a core, as long as it is in the kernel.
///
/// # Panics
///
/// Panics if there is no such core.
#[must_use]
pub fn gs_base(core: usize) -> VirtAddr {
    VirtAddr::from_ptr(&raw const LOCALS[core])
}

/// Makes this core the one of this number, before it does anything else.
pub(crate) fn install(number: usize) {
    let local = &LOCALS[number];
    local.number.store(number, Ordering::Relaxed);
    GsBase::write(VirtAddr::from_ptr(local));
    #[cfg(feature = "smp")]
    // SAFETY: this core has just begun, has these words alone, and nobody changes the GS base again.
    unsafe {
        local.kfiber.embed(Core(number));
    }
}

/// Returns the number of the core that runs this. A fiber may run on another one as soon as it has waited.
#[inline]
#[must_use]
pub fn this() -> usize {
    let number;
    // SAFETY: Each core sets its GS base before it calls anything that asks. The field is the first one.
    unsafe {
        asm!("mov {}, gs:[0]", out(reg) number, options(nostack, readonly, preserves_flags));
    };
    number
}

/// Returns the number of cores that run.
#[must_use]
pub fn count() -> usize {
    COUNT.load(Ordering::Acquire)
}

/// Records that the cores below this number run.
pub(crate) fn set_count(count: usize) {
    COUNT.store(count, Ordering::Release);
}

/// Stops this core for good.
pub fn stop() -> ! {
    loop {
        disable();
        hlt();
    }
}

/// Ends the sleep of a core, which may be this one. The kick stays pending while its interrupts are off.
///
/// # Panics
///
/// Panics if there is no such core.
pub fn kick(core: usize) {
    apic::send(apic_id(core), Message::Fixed(KICK_VECTOR));
}

/// Counts a kick of this core.
pub(crate) fn was_kicked() {
    LOCALS[this()].kicks.fetch_add(1, Ordering::AcqRel);
}

/// Returns how often a core was kicked.
///
/// # Panics
///
/// Panics if there is no such core.
#[must_use]
pub fn kicks(core: usize) -> usize {
    LOCALS[core].kicks.load(Ordering::Acquire)
}

/// Returns the identity of a core's local APIC.
///
/// # Panics
///
/// Panics if there is no such core.
#[must_use]
pub fn apic_id(core: usize) -> u32 {
    LOCALS[core].apic_id.load(Ordering::Relaxed)
}

/// Records the identity of a core's local APIC, if there is room for such a core.
pub(crate) fn set_apic_id(core: usize, id: u32) {
    if let Some(local) = LOCALS.get(core) {
        local.apic_id.store(id, Ordering::Relaxed);
    }
}
