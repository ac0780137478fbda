//! A kernel that GRUB boots, by the multiboot2 header in `boot.s`.
#![no_std]
#![no_main]

#[cfg_attr(feature = "smp", path = "several_cores.rs")]
mod cores;
mod kernel;
mod machine;
#[cfg(feature = "smp")]
mod start_cores;

core::arch::global_asm!(include_str!("boot.s"));

/// Called by `boot.s`, which has mapped all memory below 4 GiB one to one.
#[unsafe(no_mangle)]
extern "sysv64" fn kernel_main() -> ! {
    kernel::main(kfiber::x86_64::VirtAddr::zero())
}
