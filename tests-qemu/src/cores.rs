//! Further cores: started by [`start`], they wait for work, which [`on_all`] gives them.
//!
//! Each core has a number: the first one is 0, the others count up in the order of the firmware's table. Each has its
//! own GDT, TSS, stacks of exceptions and boot stack, all with unmapped pages below, and its own local APIC, whose timer
//! the functions of `interrupts` use on whichever core calls them. The page tables, the IDT and the
//! hooks of vectors are shared. A page that one core unmaps stays in the TLB of the others, so tests unmap before they
//! start cores.

mod firmware;
mod memory;
mod trampoline;

use core::{
    fmt,
    sync::atomic::{AtomicPtr, AtomicUsize, Ordering},
};

use acpi::AcpiError;
use x86_64::instructions::interrupts::{disable, enable_and_hlt};

use crate::{
    apic::{self, Message},
    core_local, exceptions, interrupts, platform,
};
use memory::MEMORY;

pub use crate::core_local::{
    KICK_VECTOR, MOST, SYSTEM_CALLS_AT, apic_id, count, gs_base, kick, kicks,
    set_task_state_segment, stop, this,
};

/// Vector by which the harness calls a core to work.
const CALL_VECTOR: u8 = 35;

/// Number of cores that have reached Rust.
static BEGUN: AtomicUsize = AtomicUsize::new(1);
/// What all cores are to run, and how many such calls there were.
static WORK: AtomicPtr<Work<'static>> = AtomicPtr::new(core::ptr::null_mut());
static CALLS: AtomicUsize = AtomicUsize::new(0);
/// Number of further cores that are not done with the work.
static BUSY: AtomicUsize = AtomicUsize::new(0);

/// What all cores run. It gets the core's number.
type Work<'a> = &'a (dyn Fn(usize) + Sync);

/// Why not all cores could be started.
#[derive(Debug)]
pub enum StartError {
    /// The firmware does not say which cores there are.
    Tables(AcpiError),
    /// There are more than [`MOST`].
    TooMany {
        /// So many there are.
        found: usize,
    },
    /// A core did not begin within five seconds.
    Silent {
        /// Its number.
        core: usize,
        /// The identity of its local APIC.
        apic_id: u32,
    },
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tables(error) => write!(
                f,
                "the firmware does not say which cores there are ({error:?}): use a machine with ACPI tables"
            ),
            Self::TooMany { found } => write!(
                f,
                "there are {found} cores, and this kernel has memory for {MOST}: raise `cores::MOST`"
            ),
            Self::Silent { core, apic_id } => write!(
                f,
                "core {core} (APIC {apic_id}) did not begin: does it reach the trampoline? `-d int,cpu_reset` shows a triple fault"
            ),
        }
    }
}

/// Returns whether an address lies in the boot stack of a further core.
///
/// # Panics
///
/// Panics if there is no such core, and for the first one, whose stack is [`boot::stack`](crate::boot::stack).
#[must_use]
pub fn is_boot_stack_of(core: usize, address: usize) -> bool {
    MEMORY[core - 1].is_stack(address)
}

/// Starts all further cores, which then wait for work, and returns the number of all cores. To be called once, on the
/// first one.
///
/// # Errors
///
/// Returns an error if a core did not begin. Those before it have.
pub fn start() -> Result<usize, StartError> {
    exceptions::hook(KICK_VECTOR, |_| {
        core_local::was_kicked();
        interrupts::end_of_interrupt();
    });
    exceptions::hook(CALL_VECTOR, |_| interrupts::end_of_interrupt());
    // Before a second core could ask for the time.
    platform::set_clock();
    let first = apic::id();
    core_local::set_apic_id(0, first);
    let mut found = 1;
    let note = |id| {
        if id != first {
            core_local::set_apic_id(found, id);
            found += 1;
        }
    };
    firmware::apic_ids(note).map_err(StartError::Tables)?;
    if found > MOST {
        return Err(StartError::TooMany { found });
    }
    trampoline::install();
    for core in 1..found {
        // SAFETY: `start` is called once; no core has seen the pages of this one's memory.
        unsafe { MEMORY[core - 1].tables.prepare() };
    }
    let tops = MEMORY[..found - 1]
        .iter()
        .map(|memory| memory.prepare_stack());
    for (core, top) in (1..).zip(tops) {
        let apic_id = apic_id(core);
        let has_begun = || BEGUN.load(Ordering::Acquire) > core;
        // SAFETY: The trampoline is installed, the core was never started, and the stack is its own.
        if !unsafe { trampoline::start(apic_id, top, has_begun) } {
            return Err(StartError::Silent { core, apic_id });
        }
        core_local::set_count(core + 1);
    }
    Ok(found)
}

/// Runs `work` on all cores at once, with interrupts off at its start, and returns when all have returned. It gets the
/// core's number.
///
/// To be called on the first core. At the end each core's timer is stopped, and its interrupts are off.
pub fn on_all(work: impl Fn(usize) + Sync) {
    let others = 1..count();
    BUSY.store(others.len(), Ordering::Relaxed);
    let shared: Work<'_> = &work;
    WORK.store((&raw const shared).cast_mut().cast(), Ordering::Relaxed);
    CALLS.fetch_add(1, Ordering::Release);
    for core in others {
        apic::send(apic_id(core), Message::Fixed(CALL_VECTOR));
    }
    work(0);
    disable();
    interrupts::stop_timer();
    while BUSY.load(Ordering::Acquire) > 0 {
        enable_and_hlt();
        disable();
    }
}

/// Called by the assembly, on the core's own stack.
#[unsafe(no_mangle)]
extern "C" fn kfiber_test_core_entry() -> ! {
    // Cores start one after the other, so this is the number of those before.
    let core = BEGUN.load(Ordering::Acquire);
    core_local::install(core);
    // SAFETY: Prepared before this core was started, for this core only; the first core has filled the IDT.
    unsafe { MEMORY[core - 1].tables.load() };
    interrupts::init_core();
    let mut calls = CALLS.load(Ordering::Acquire);
    BEGUN.store(core + 1, Ordering::Release);
    loop {
        while CALLS.load(Ordering::Acquire) == calls {
            // A call that comes after the look is pending, and ends the sleep.
            enable_and_hlt();
            disable();
        }
        calls += 1;
        // SAFETY: `on_all` stored it before the call, and does not return before this core is done with it. (If it panics,
        // nobody returns.)
        let work = unsafe { *WORK.load(Ordering::Relaxed) };
        work(core);
        disable();
        interrupts::stop_timer();
        if BUSY.fetch_sub(1, Ordering::AcqRel) == 1 {
            apic::send(apic_id(0), Message::Fixed(CALL_VECTOR));
        }
    }
}
