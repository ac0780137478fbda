//! The stub for a handler that needs no frame, and its unwind rules.
//!
//! It differs from that in `entry` in what it saves: only the registers that a function may change. So
//! its frame begins with the saved rip, which is the CFA of the rules, as `unwind` explains.

/// The code of an entry without a frame. The parameters are those of `__trap_code`.
#[doc(hidden)]
#[macro_export]
macro_rules! __trap_code_short {
    ($handler:ident, $vector:expr, $enter:literal, $leave:literal, $inner:literal) => {
        ::core::arch::naked_asm!(
            "72:",
            "test byte ptr [rsp + 8 + {no_error_code}], 3", // the privilege level in the saved cs
            "jz 75f",
            "swapgs",
            "75:",
            "push rax",
            "push rcx",
            "push rdx",
            "push rsi",
            "push rdi",
            "push r8",
            "push r9",
            "push r10",
            "push r11",
            "70:",
            "cld",
            $enter, // rsp is a multiple of 16 here: five words by the processor, and nine
            "call {handler}",
            $leave,
            "76:",
            "pop r11",
            "pop r10",
            "pop r9",
            "pop r8",
            "pop rdi",
            "pop rsi",
            "pop rdx",
            "pop rcx",
            "pop rax",
            "test byte ptr [rsp + 8], 3",
            "jz 78f",
            "swapgs",
            "78:",
            "iretq",
            "79:",
            $crate::__trap_unwind!($crate::__trap_rules_short!($inner)),
            handler = sym $handler,
            no_error_code = const $crate::exceptions::no_error_code($vector),
        )
    };
}

/// The rules from the stub's first byte on, written as those in `unwind`.
#[doc(hidden)]
#[macro_export]
macro_rules! __trap_rules_short {
    ($inner:literal) => {
        concat!(
            "
            .byte 0x02, 75b - 72b
            .byte 0x41, 0x0e, 8, 0x80 | 0, 1
            .byte 0x41, 0x0e, 16, 0x80 | 2, 2
            .byte 0x41, 0x0e, 24, 0x80 | 1, 3
            .byte 0x41, 0x0e, 32, 0x80 | 4, 4
            .byte 0x41, 0x0e, 40, 0x80 | 5, 5
            .byte 0x42, 0x0e, 48, 0x80 | 8, 6
            .byte 0x42, 0x0e, 56, 0x80 | 9, 7
            .byte 0x42, 0x0e, 64, 0x80 | 10, 8
            .byte 0x42, 0x0e, 72, 0x80 | 11, 9
            ",
            $inner,
            "
            .byte 0x42, 0x0e, 64, 0xc0 | 11
            .byte 0x42, 0x0e, 56, 0xc0 | 10
            .byte 0x42, 0x0e, 48, 0xc0 | 9
            .byte 0x42, 0x0e, 40, 0xc0 | 8
            .byte 0x41, 0x0e, 32, 0xc0 | 5
            .byte 0x41, 0x0e, 24, 0xc0 | 4
            .byte 0x41, 0x0e, 16, 0xc0 | 1
            .byte 0x41, 0x0e, 8, 0xc0 | 2
            .byte 0x41, 0x0e, 0, 0xc0 | 0
            "
        )
    };
}

/// The entry that saves no other registers.
#[doc(hidden)]
#[macro_export]
macro_rules! __interrupt_entry_short_general {
    ($handler:ident, $vector:expr) => {
        $crate::__trap_code_short!($handler, $vector, "", "", ".byte 0x02, 76b - 70b")
    };
}

/// The entry that also saves the x87 and SSE registers.
#[doc(hidden)]
#[macro_export]
macro_rules! __interrupt_entry_short_sse {
    ($handler:ident, $vector:expr) => {
        $crate::__trap_code_short!(
            $handler,
            $vector,
            "sub rsp, 512; 71: fxsave64 [rsp]",
            "fxrstor64 [rsp]; add rsp, 512",
            ".byte 0x02, 71b - 70b, 0x0e, 0xc8, 4, 0x02, 76b - 71b, 0x0e, 72"
        )
    };
}
