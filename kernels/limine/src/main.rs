//! A kernel that Limine boots, by the requests below.
#![no_std]
#![no_main]

#[cfg_attr(feature = "smp", path = "several_cores.rs")]
mod cores;
mod kernel;
mod machine;
#[cfg(feature = "smp")]
mod start_cores;

use kfiber::x86_64::VirtAddr;
use limine::BaseRevision;
use limine::request::{HhdmRequest, StackSizeRequest};

/// With revision 2 Limine maps the registers of devices as well as memory.
#[used]
#[unsafe(link_section = ".requests")]
static REVISION: BaseRevision = BaseRevision::with_revision(2);

/// Where physical memory is mapped.
#[used]
#[unsafe(link_section = ".requests")]
static PHYSICAL_MEMORY: HhdmRequest = HhdmRequest::new();

/// The stack of `boot`, and later of the scheduler.
#[used]
#[unsafe(link_section = ".requests")]
static STACK: StackSizeRequest = StackSizeRequest::new().with_size(64 * 1024);

/// Called by Limine.
#[unsafe(no_mangle)]
extern "sysv64" fn boot() -> ! {
    assert!(REVISION.is_supported(), "this Limine is too old");
    let memory = PHYSICAL_MEMORY.get_response().expect("Limine answers");
    kernel::main(VirtAddr::new(memory.offset()))
}
