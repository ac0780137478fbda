//! From QEMU's PVH entry (32-bit, no paging) to Rust on a stack of its own in long mode, and what the loader passed.
//!
//! Memory is mapped one to one up to 4 GiB, with pages of 2 MiB, and page 0 is left out so that null pointers fault.

use core::{
    arch::global_asm,
    ffi::{CStr, c_char},
    ptr, slice,
    sync::atomic::{AtomicPtr, AtomicU64, Ordering},
};

use crate::{cores, exceptions, interrupts, paging, serial};

/// Size of the stack on which the kernel and its test begin.
pub const STACK_SIZE: usize = 256 * 1024;

global_asm!(include_str!("boot.s"), stack_size = const STACK_SIZE);

/// What the loader passes (the ABI of PVH: `xen/include/public/arch-x86/hvm/start_info.h`).
#[repr(C)]
#[derive(Debug)]
struct StartInfo {
    magic: u32,
    version: u32,
    flags: u32,
    module_count: u32,
    modules: u64,
    command_line: u64,
    rsdp: u64,
}

/// One file that QEMU loaded beside the kernel (`-initrd`).
#[repr(C)]
#[derive(Debug)]
struct Module {
    address: u64,
    size: u64,
    command_line: u64,
    reserved: u64,
}

const START_INFO_MAGIC: u32 = 0x336e_c578;

static START_INFO: AtomicPtr<StartInfo> = AtomicPtr::new(ptr::null_mut());
static ENTRY_RSP: AtomicU64 = AtomicU64::new(0);

unsafe extern "C" {
    /// Defined by `linker/qemu-test.ld`. Whoever links without it reads this name in the linker's error.
    static kfiber_ld_not_passed_to_the_linker__see_README: u8;
    static kfiber_test_boot_stack_bottom: u8;
}

unsafe extern "Rust" {
    /// The kernel's own main function, see [`entry!`](crate::entry).
    safe fn kfiber_test_main() -> !;
}

/// Names the function that a kernel runs once the machine is set up: `entry!(tests_qemu::run::run_one_test);`.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        #[unsafe(no_mangle)]
        fn kfiber_test_main() -> ! {
            let main: fn() -> ! = $main;
            main()
        }
    };
}

/// Called by the assembly with the address of the start info and the stack pointer at the call.
#[unsafe(no_mangle)]
extern "C" fn kfiber_test_rust_entry(start_info: *mut StartInfo, rsp: u64) -> ! {
    START_INFO.store(start_info, Ordering::Relaxed);
    ENTRY_RSP.store(rsp, Ordering::Relaxed);
    cores::init();
    serial::init();
    exceptions::init();
    paging::protect_code();
    paging::unmap(&raw const kfiber_test_boot_stack_bottom as u64);
    interrupts::init();
    kfiber_test_main()
}

/// Where a linker without our script would start: makes a forgotten script an error that can be read.
#[unsafe(no_mangle)]
extern "C" fn _start() -> u64 {
    &raw const kfiber_ld_not_passed_to_the_linker__see_README as u64
}

/// A copy, because not every firmware aligns the structures.
fn start_info() -> Option<StartInfo> {
    let address = START_INFO.load(Ordering::Relaxed);
    if address.is_null() {
        return None;
    }
    // SAFETY: The loader's structure, which lies below 4 GiB in memory that nobody else uses.
    let info = unsafe { address.read_unaligned() };
    (info.magic == START_INFO_MAGIC).then_some(info)
}

/// Returns the kernel's command line, empty if there is none.
#[must_use]
pub fn command_line() -> &'static str {
    let Some(info) = start_info().filter(|info| info.command_line != 0) else {
        return "";
    };
    // SAFETY: The loader promises a string that ends with a zero byte; it is mapped and nobody writes to it.
    let line = unsafe { CStr::from_ptr(info.command_line as *const c_char) };
    line.to_str().unwrap_or("")
}

/// Returns the file that was passed with `-initrd`.
#[must_use]
pub fn module() -> Option<&'static [u8]> {
    let info = start_info().filter(|info| info.module_count > 0)?;
    // SAFETY: The loader promises `module_count` entries at this address, and there is at least one.
    let module = unsafe { (info.modules as *const Module).read_unaligned() };
    let size = usize::try_from(module.size).ok()?;
    // SAFETY: The loader put the file there, below 4 GiB; nobody else uses that memory.
    Some(unsafe { slice::from_raw_parts(module.address as *const u8, size) })
}

/// Returns the address of the ACPI tables' root, if the loader names it.
pub(crate) fn rsdp() -> Option<usize> {
    let address = usize::try_from(start_info()?.rsdp).expect("64 bits");
    (address != 0).then_some(address)
}

/// Returns the stack pointer with which Rust was first called (before the return address was pushed).
#[must_use]
pub fn entry_rsp() -> u64 {
    ENTRY_RSP.load(Ordering::Relaxed)
}

/// Returns the lowest usable and one past the highest address of the boot stack; below it lies an unmapped page.
#[must_use]
pub fn stack() -> (u64, u64) {
    let bottom = &raw const kfiber_test_boot_stack_bottom as u64 + 4096;
    (bottom, bottom + STACK_SIZE as u64)
}
