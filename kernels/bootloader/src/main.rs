//! A kernel that the `bootloader` crate boots, the loader of the blog "Writing an OS in Rust".
#![no_std]
#![no_main]

mod cores;
mod kernel;
mod machine;

use bootloader_api::config::{BootloaderConfig, Mapping};
use bootloader_api::{BootInfo, entry_point};
use kfiber::x86_64::VirtAddr;

/// Has all physical memory mapped, at an address that the loader chooses.
static CONFIG: BootloaderConfig = {
    let mut config = BootloaderConfig::new_default();
    config.mappings.physical_memory = Some(Mapping::Dynamic);
    config
};

entry_point!(boot, config = &CONFIG);

/// Called by the loader.
fn boot(boot_info: &'static mut BootInfo) -> ! {
    let offset = boot_info.physical_memory_offset.into_option();
    kernel::main(VirtAddr::new(offset.expect("`CONFIG` asks for it")))
}
