//! The unwind rules of an entry stub, as bytes, right at each of its instructions.
//!
//! They are written by hand for the reason that the module `context::unwind` gives: the frame must be
//! a *signal frame*, because unwinders otherwise look up the instruction before the interrupted one,
//! and the assembler drops `.cfi_signal_frame` where it writes only `.debug_frame`.
//!
//! The CFA is the address of the saved rip, where the processor's own frame begins, so every rule is
//! a plain offset. The DWARF numbers of the registers are: rax 0, rdx 1, rcx 2, rbx 3, rsi 4, rdi 5,
//! rbp 6, rsp 7, and the return address 16.
//!
//! The rules use these labels of the stub: 72 at its first byte, 73 after the error code, 74 after
//! the vector, 75 at the first push, 70 after the last push, 76 at the first pop, 77 after the last
//! pop, 78 at `iretq`, 79 at its end. `$inner` are the rules from 70 to 76, which depend on what
//! else is saved.

/// The rules that hold at every instruction: CFA = rsp, rip at CFA, rsp at CFA + 24. The other
/// registers are as they are while they are not saved, also those that a function may change: the
/// unwind rules of a switch use some of these.
#[doc(hidden)]
#[macro_export]
macro_rules! __trap_initial_rules {
    () => {
        "
        .byte 0x0c, 7, 0            // DW_CFA_def_cfa rsp, 0
        .byte 0x80 | 16, 0          // DW_CFA_offset return address, CFA-0
        .byte 0x11, 7, 0x7d         // DW_CFA_offset_extended_sf rsp, CFA+24
        .byte 8, 0, 8, 1, 8, 2, 8, 4, 8, 5 // DW_CFA_same_value rax, rdx, rcx, rsi, rdi
        .byte 8, 8, 8, 9, 8, 10, 8, 11 // DW_CFA_same_value r8 to r11
        "
    };
}

/// The rules from the stub's first byte on. 0x0e is `DW_CFA_def_cfa_offset`, 0x40 and 0x02 are
/// `DW_CFA_advance_loc` and `…_loc1`, 0x80 is `DW_CFA_offset`, and 0xc0 is `DW_CFA_restore`. The
/// pushes and pops of the low registers take one byte, those of r8 to r15 take two.
#[doc(hidden)]
#[macro_export]
macro_rules! __trap_rules {
    ($inner:literal) => {
        concat!(
            "
            .if {has_error_code}
            .byte 0x0e, 8
            .else
            .byte 0x02, 73b - 72b, 0x0e, 8
            .endif
            .byte 0x02, 74b - 73b, 0x0e, 16
            .byte 0x02, 75b - 74b
            .byte 0x41, 0x0e, 24, 0x80 | 0, 3
            .byte 0x41, 0x0e, 32, 0x80 | 2, 4
            .byte 0x41, 0x0e, 40, 0x80 | 1, 5
            .byte 0x41, 0x0e, 48, 0x80 | 3, 6
            .byte 0x41, 0x0e, 56, 0x80 | 6, 7
            .byte 0x41, 0x0e, 64, 0x80 | 4, 8
            .byte 0x41, 0x0e, 72, 0x80 | 5, 9
            .byte 0x42, 0x0e, 80, 0x80 | 8, 10
            .byte 0x42, 0x0e, 88, 0x80 | 9, 11
            .byte 0x42, 0x0e, 96, 0x80 | 10, 12
            .byte 0x42, 0x0e, 104, 0x80 | 11, 13
            .byte 0x42, 0x0e, 112, 0x80 | 12, 14
            .byte 0x42, 0x0e, 120, 0x80 | 13, 15
            .byte 0x42, 0x0e, 0x80, 1, 0x80 | 14, 16
            .byte 0x42, 0x0e, 0x88, 1, 0x80 | 15, 17
            ",
            $inner,
            "
            .byte 0x42, 0x0e, 0x80, 1, 0xc0 | 15
            .byte 0x42, 0x0e, 120, 0xc0 | 14
            .byte 0x42, 0x0e, 112, 0xc0 | 13
            .byte 0x42, 0x0e, 104, 0xc0 | 12
            .byte 0x42, 0x0e, 96, 0xc0 | 11
            .byte 0x42, 0x0e, 88, 0xc0 | 10
            .byte 0x42, 0x0e, 80, 0xc0 | 9
            .byte 0x42, 0x0e, 72, 0xc0 | 8
            .byte 0x41, 0x0e, 64, 0xc0 | 5
            .byte 0x41, 0x0e, 56, 0xc0 | 4
            .byte 0x41, 0x0e, 48, 0xc0 | 6
            .byte 0x41, 0x0e, 40, 0xc0 | 3
            .byte 0x41, 0x0e, 32, 0xc0 | 1
            .byte 0x41, 0x0e, 24, 0xc0 | 2
            .byte 0x41, 0x0e, 16, 0xc0 | 0
            .byte 0x02, 78b - 77b, 0x0e, 0
            "
        )
    };
}

/// The entries of a stub for both sections of unwind tables.
#[cfg(not(target_os = "uefi"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __trap_unwind {
    ($($rules:tt)*) => {
        concat!(
            "
            .pushsection .eh_frame, \"a\", @unwind
            .balign 8
            80: .long 82f - 81f     // common entry: length, id, version, augmentation
            81: .long 0
            .byte 1
            .asciz \"zRS\"
            .uleb128 1              // code is counted in bytes,
            .sleb128 -8             // offsets in words downwards
            .byte 16                // the return address' column
            .uleb128 1
            .byte 0x1b              // addresses are pc-relative, 4 bytes
            ",
            $crate::__trap_initial_rules!(),
            "
            .balign 8
            82: .long 84f - 83f     // the stub's entry
            83: .long 83b - 80b
            .long 72b - .
            .long 79b - 72b
            .uleb128 0
            ",
            $($rules)*,
            "
            .balign 8
            84: .popsection
            .pushsection .debug_frame, \"\", @progbits
            .balign 8
            90: .long 92f - 91f
            91: .long 0xffffffff
            .byte 1
            .asciz \"S\"
            .uleb128 1
            .sleb128 -8
            .byte 16
            ",
            $crate::__trap_initial_rules!(),
            "
            .balign 8
            92: .long 94f - 93f
            93: .long 90b
            .quad 72b
            .quad 79b - 72b
            ",
            $($rules)*,
            "
            .balign 8
            94: .popsection
            "
        )
    };
}

/// Object files of other formats have no such sections.
#[cfg(target_os = "uefi")]
#[doc(hidden)]
#[macro_export]
macro_rules! __trap_unwind {
    ($($rules:tt)*) => {
        ""
    };
}
