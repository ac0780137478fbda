//! The unwind information of a fiber's first frame, as bytes. It states that the caller is
//! `block.parent`.
//!
//! These are the rules. While the body runs, `rbp` is the address of the block:
//!
//! ```text
//!   CFA = rbp + 16;  rbp at CFA-16, return address at CFA-8, rsp at CFA+0, rbx at CFA+8;  r12 to r15 unknown
//!   at the last jump, when the parent's registers are already loaded:
//!   CFA = rsp;  return address in rdx, rbp, rbx and rsp as they are
//! ```
//!
//! The bytes are written by hand for the following reason. The frame must be a *signal frame*
//! (augmentation `S`), because gdb otherwise takes a caller whose stack lies at a lower address for
//! a corrupt stack. `.cfi_signal_frame` declares this in `.eh_frame`. The assembler silently drops
//! it where it writes only `.debug_frame`, as it does for the stock bare target. The same bytes
//! therefore go into both sections. They need no DWARF expression, so simple unwinders can follow
//! them. (DWARF 5, section 6.4; LSB Core, "Exception Frames".)
//!
//! Both sections, and the directives that open them, belong to ELF. The object files of UEFI
//! applications are COFF, so the bytes are left out there, and a backtrace ends at the first frame.

use super::block::{Context, ControlBlock};
use core::mem::offset_of;

// The rules below depend on these offsets.
const _: () = assert!(offset_of!(ControlBlock, parent) == 0);
const _: () = assert!(offset_of!(Context, record.rbp) == 0);
const _: () = assert!(offset_of!(Context, record.ip) == 8);
const _: () = assert!(offset_of!(Context, sp) == 16);
const _: () = assert!(offset_of!(Context, rbx) == 24);

/// No unwind entries, where the object files are not ELF.
#[cfg(target_os = "uefi")]
macro_rules! base_frame {
    ($base:literal, $jump:literal, $end:literal) => {
        concat!("// no unwind entries for ", $base)
    };
}

/// The rules that apply from the first byte. The DWARF numbers of the registers are: rdx 1, rbx 3,
/// rbp 6, rsp 7, return address 16.
#[cfg(not(target_os = "uefi"))]
macro_rules! rules {
    () => {
        "
        .byte 0x0c, 6, 16           // DW_CFA_def_cfa rbp, 16
        .byte 0x80 | 6, 2           // DW_CFA_offset rbp, CFA-16
        .byte 0x80 | 16, 1          // DW_CFA_offset return address, CFA-8
        .byte 0x80 | 7, 0           // DW_CFA_offset rsp, CFA+0
        .byte 0x11, 3, 0x7f         // DW_CFA_offset_extended_sf rbx, CFA+8
        .byte 7, 12, 7, 13, 7, 14, 7, 15 // DW_CFA_undefined r12 to r15
        "
    };
}

/// The rules that apply from the label `$jump`, as instructions of the entry for the function
/// `$base`.
#[cfg(not(target_os = "uefi"))]
macro_rules! rules_at_jump {
    ($base:literal, $jump:literal) => {
        concat!(
            ".byte 0x02, ",
            $jump,
            "-",
            $base,
            " // DW_CFA_advance_loc1 to the jump
            .byte 0x0c, 7, 0        // DW_CFA_def_cfa rsp, 0
            .byte 9, 16, 1          // DW_CFA_register return address, rdx
            .byte 8, 6, 8, 3, 8, 7  // DW_CFA_same_value rbp, rbx, rsp
            "
        )
    };
}

/// The directives that write the unwind entries of the function `$base`, once for `.eh_frame` and
/// once for `.debug_frame`. The last jump of the function is at `$jump`, and the function ends at
/// `$end`.
#[cfg(not(target_os = "uefi"))]
macro_rules! base_frame {
    ($base:literal, $jump:literal, $end:literal) => {
        concat!(
            "
            .pushsection .eh_frame, \"a\", @unwind
            .balign 8
            30: .long 32f - 31f     // common entry: length, id, version, augmentation
            31: .long 0
            .byte 1
            .asciz \"zRS\"
            .uleb128 1              // code is counted in bytes,
            .sleb128 -8             // offsets in words downwards
            .byte 16                // the return address' column
            .uleb128 1
            .byte 0x1b              // addresses are pc-relative, 4 bytes
            ",
            unwind::rules!(),
            "
            .balign 8
            32: .long 34f - 33f     // the function's entry
            33: .long 33b - 30b
            .long ",
            $base,
            " - .
            .long ",
            $end,
            " - ",
            $base,
            "
            .uleb128 0
            ",
            unwind::rules_at_jump!($base, $jump),
            "
            .balign 8
            34: .popsection
            .pushsection .debug_frame, \"\", @progbits
            .balign 8
            20: .long 22f - 21f
            21: .long 0xffffffff
            .byte 1
            .asciz \"S\"
            .uleb128 1
            .sleb128 -8
            .byte 16
            ",
            unwind::rules!(),
            "
            .balign 8
            22: .long 24f - 23f
            23: .long 20b
            .quad ",
            $base,
            "
            .quad ",
            $end,
            " - ",
            $base,
            "
            ",
            unwind::rules_at_jump!($base, $jump),
            "
            .balign 8
            24: .popsection
            "
        )
    };
}

pub(super) use base_frame;
#[cfg(not(target_os = "uefi"))]
pub(super) use {rules, rules_at_jump};
