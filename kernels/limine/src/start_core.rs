//! Starts the second core, which Limine has brought to long mode already.

use core::sync::atomic::{AtomicU64, Ordering};

use kfiber::hardware::{HardwareError, LocalApic};
use limine::mp::Cpu;
use limine::request::MpRequest;

/// The other cores wait in a loop of Limine's, each with a stack, until they are told where to go.
#[used]
#[unsafe(link_section = ".requests")]
static CORES: MpRequest = MpRequest::new();

static ENTRY: AtomicU64 = AtomicU64::new(0);

/// Has the second core call `entry`, once.
pub fn start_core(
    _local_apic: LocalApic,
    entry: extern "sysv64" fn() -> !,
) -> Result<(), HardwareError> {
    let cores = CORES.get_response().expect("Limine answers").cpus();
    let second = cores.iter().find(|core| core.lapic_id == 1);
    ENTRY.store(entry as *const () as u64, Ordering::Relaxed);
    second
        .expect("the machine has two cores")
        .goto_address
        .write(from_limine);
    Ok(())
}

/// Where Limine leaves the second core.
unsafe extern "C" fn from_limine(_: &Cpu) -> ! {
    let entry = ENTRY.load(Ordering::Relaxed) as *const ();
    // SAFETY: `start_core` made it of such a function.
    let entry: extern "sysv64" fn() -> ! = unsafe { core::mem::transmute(entry) };
    entry()
}
