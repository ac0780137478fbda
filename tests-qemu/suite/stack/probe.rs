//! Finds out whether an address can be written, by writing to it and surviving the page fault.

use core::{
    arch::global_asm,
    sync::atomic::{AtomicU64, Ordering},
};

use tests_qemu::exceptions::{self, TrapFrame};
use x86_64::registers::control::Cr2;

global_asm!(
    ".pushsection .text.kfiber_test_probe, \"ax\", @progbits",
    ".type kfiber_test_probe, @function",
    "kfiber_test_probe:",
    "    mov byte ptr [rdi], 0x5a",
    "    mov eax, 1",
    "    ret",
    "kfiber_test_probe_faulted:",
    "    xor eax, eax",
    "    ret",
    ".size kfiber_test_probe, . - kfiber_test_probe",
    ".popsection",
);

unsafe extern "sysv64" {
    /// Writes one byte; returns 1, or 0 if that was a page fault.
    fn kfiber_test_probe(address: *mut u8) -> u32;
    static kfiber_test_probe_faulted: u8;
}

static FAULT_ADDRESS: AtomicU64 = AtomicU64::new(0);
static FAULT_ERROR: AtomicU64 = AtomicU64::new(0);

const PAGE_FAULT: u8 = 14;
/// The page is not present, the access was a write, in ring 0 (Intel SDM, volume 3, 4.7).
const WRITE_TO_MISSING_PAGE: u64 = 0b010;

fn skip(frame: &mut TrapFrame) {
    if frame.rip != kfiber_test_probe as *const () as u64 {
        exceptions::report(frame);
    }
    FAULT_ADDRESS.store(Cr2::read_raw(), Ordering::Relaxed);
    FAULT_ERROR.store(frame.error_code, Ordering::Relaxed);
    frame.rip = &raw const kfiber_test_probe_faulted as u64;
}

/// Says whether a byte can be written at `address`.
///
/// # Panics
///
/// Panics if the write is a fault at another address, or for another reason than a missing page.
#[track_caller]
pub(super) fn is_writable(address: usize) -> bool {
    exceptions::hook(PAGE_FAULT, skip);
    let address: *mut u8 = core::ptr::with_exposed_provenance_mut(address);
    // SAFETY: The callers probe memory of their own, or guards, which nobody uses; a fault is survived by `skip`.
    let is_writable = unsafe { kfiber_test_probe(address) } == 1;
    exceptions::unhook(PAGE_FAULT);
    if !is_writable {
        assert_eq!(
            FAULT_ADDRESS.load(Ordering::Relaxed),
            address.addr() as u64,
            "fault at another address"
        );
        assert_eq!(
            FAULT_ERROR.load(Ordering::Relaxed),
            WRITE_TO_MISSING_PAGE,
            "fault of another kind"
        );
    }
    is_writable
}
