//! Further cores: started by [`start`], they wait for work, which [`on_all`] gives them.
//!
//! Each core has a number: the first one is 0, the others count up in the order of the firmware's table. Each has its
//! own GDT, TSS, stacks of exceptions and boot stack, all with unmapped pages below, and its own local APIC, whose timer
//! the functions of [`interrupts`](crate::interrupts) use on whichever core calls them. The page tables, the IDT and the
//! hooks of vectors are shared. A page that one core unmaps stays in the TLB of the others, so tests unmap before they
//! start cores.

mod firmware;
mod local;
mod trampoline;

use core::{
    fmt,
    sync::atomic::{AtomicPtr, AtomicUsize, Ordering},
};

use acpi::AcpiError;
use x86_64::instructions::interrupts::{disable, enable_and_hlt};

use crate::{
    apic::{self, Message},
    exceptions::{self, CALL_VECTOR, KICK_VECTOR},
    interrupts, platform,
};
use local::{LOCALS, MEMORY, PerCore};

/// The most cores that a test kernel starts.
pub const MOST: usize = 8;

/// Number of cores that run, the first one included.
static COUNT: AtomicUsize = AtomicUsize::new(1);
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

/// Gives the first core its number.
pub(crate) fn init() {
    PerCore::install(0);
}

/// Returns the number of the core that runs this. A fiber may run on another one as soon as it has waited.
#[inline]
#[must_use]
pub fn this() -> usize {
    PerCore::number()
}

/// Returns the number of cores that run.
#[must_use]
pub fn count() -> usize {
    COUNT.load(Ordering::Acquire)
}

/// Stops this core for good.
pub fn stop() -> ! {
    loop {
        disable();
        x86_64::instructions::hlt();
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
    assert!(core < count(), "core {core} was not started");
    LOCALS[core].apic_id.load(Ordering::Relaxed)
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
        LOCALS[this()].kicks.fetch_add(1, Ordering::AcqRel);
        interrupts::end_of_interrupt();
    });
    exceptions::hook(CALL_VECTOR, |_| interrupts::end_of_interrupt());
    // Before a second core could ask for the time.
    platform::set_clock();
    let first = apic::id();
    LOCALS[0].apic_id.store(first, Ordering::Relaxed);
    let mut found = 1;
    let note = |id| {
        if id != first {
            if let Some(local) = LOCALS.get(found) {
                local.apic_id.store(id, Ordering::Relaxed);
            }
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
        let apic_id = LOCALS[core].apic_id.load(Ordering::Relaxed);
        let has_begun = || BEGUN.load(Ordering::Acquire) > core;
        // SAFETY: The trampoline is installed, the core was never started, and the stack is its own.
        if !unsafe { trampoline::start(apic_id, top, has_begun) } {
            return Err(StartError::Silent { core, apic_id });
        }
        COUNT.store(core + 1, Ordering::Release);
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

/// Prints the number of this core, where that tells something.
pub(crate) fn print_number() {
    if count() > 1 {
        crate::println!("on core {}", this());
    }
}

/// Called by the assembly, on the core's own stack.
#[unsafe(no_mangle)]
extern "C" fn kfiber_test_core_entry() -> ! {
    // Cores start one after the other, so this is the number of those before.
    let core = BEGUN.load(Ordering::Acquire);
    PerCore::install(core);
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
