//! Starts all other cores, which Limine has brought to long mode already.

use core::sync::atomic::Ordering;

use kfiber::hardware::{HardwareError, LocalApic};
use limine::mp::Cpu;
use limine::request::MpRequest;

use crate::cores;

/// The other cores wait in a loop of Limine's, each with a stack, until they are told where to go.
#[used]
#[unsafe(link_section = ".requests")]
static CORES: MpRequest = MpRequest::new();

/// Has each of the other cores call `other_core`, once. A core beyond those of the scheduler stays
/// where it is.
pub fn start_others(_local_apic: LocalApic) -> Result<(), HardwareError> {
    let answer = CORES.get_response().expect("Limine answers");
    let first = answer.bsp_lapic_id();
    let others = answer.cpus().iter().filter(|core| core.lapic_id != first);
    for (number, core) in (1..cores::COUNT as u64).zip(others) {
        core.extra.store(number, Ordering::Relaxed);
        core.goto_address.write(from_limine);
    }
    Ok(())
}

/// Where Limine leaves a core.
unsafe extern "C" fn from_limine(core: &Cpu) -> ! {
    cores::other_core(core.extra.load(Ordering::Relaxed) as usize)
}
