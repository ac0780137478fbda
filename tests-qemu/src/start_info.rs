//! What the loader passed: the command line and a file.

use core::{
    ffi::{CStr, c_char},
    ptr, slice,
    sync::atomic::{AtomicPtr, Ordering},
};

/// What the loader passes (the ABI of PVH: `xen/include/public/arch-x86/hvm/start_info.h`).
#[repr(C)]
#[derive(Debug)]
pub(crate) struct StartInfo {
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

/// Keeps the address of what the loader passed.
pub(crate) fn remember(start_info: *mut StartInfo) {
    START_INFO.store(start_info, Ordering::Relaxed);
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
