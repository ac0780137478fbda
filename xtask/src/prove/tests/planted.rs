//! Switches and first frames in the assembly of this test program: right ones, and wrong ones with one error each.
//!
//! They go the whole way through assembler, linker and ELF file. Nobody calls them, so their section says "retain".

use core::arch::global_asm;

/// Assembles a function that has unwind information.
macro_rules! plant {
    ($name:literal, $($line:expr),+ $(,)?) => {
        global_asm!(
            ".pushsection .text.kfiber_proof, \"axR\", @progbits",
            concat!(".type ", $name, ", @function"),
            concat!($name, ":"),
            ".cfi_startproc",
            $($line,)+
            ".cfi_endproc",
            concat!(".size ", $name, ", . - ", $name),
            ".popsection",
        );
    };
}

mod first_frames;

macro_rules! push {
    ($register:literal) => {
        concat!(
            "push ",
            $register,
            "; .cfi_adjust_cfa_offset 8; .cfi_rel_offset ",
            $register,
            ", 0"
        )
    };
}

macro_rules! pop {
    ($register:literal) => {
        concat!(
            "pop ",
            $register,
            "; .cfi_adjust_cfa_offset -8; .cfi_restore ",
            $register
        )
    };
}

macro_rules! push_all {
    () => {
        concat!(
            "endbr64;",
            push!("r12"),
            ";",
            push!("r13"),
            ";",
            push!("r14"),
            ";",
            push!("r15")
        )
    };
}

macro_rules! pop_all {
    () => {
        concat!(
            pop!("r15"),
            ";",
            pop!("r14"),
            ";",
            pop!("r13"),
            ";",
            pop!("r12")
        )
    };
}

macro_rules! load {
    () => {
        "mov r10, rdx; mov r11, rcx; lea rax, [rip + 2f]
        mov rcx, [r11 + 16]; mov rdx, [r11 + 8]; mov r8, [r11]; mov r9, [r11 + 24]"
    };
}

macro_rules! save {
    () => {
        "mov [r10 + 16], rsp; mov [r10 + 8], rax; mov [r10], rbp; mov [r10 + 24], rbx"
    };
}

macro_rules! leave {
    () => {
        "jmp right_tail; 2: endbr64"
    };
}

macro_rules! back {
    () => {
        "mov rax, rdi; mov rdx, rsi; ret"
    };
}

plant!(
    "right_tail",
    ".globl right_tail; .hidden right_tail", // the switches may be in another object file
    ".cfi_def_cfa rcx, 0; .cfi_register rip, rdx; .cfi_register rbp, r8; .cfi_register rbx, r9",
    ".cfi_undefined r12; .cfi_undefined r13; .cfi_undefined r14; .cfi_undefined r15",
    "mov rsp, rcx; mov rbx, r9; mov rbp, r8; jmp rdx; int3"
);
plant!(
    "tail_changes_rule",
    "mov rsp, rcx; mov rbx, r9; mov rbp, r8; mov r8, rcx; jmp rdx; int3"
);
plant!(
    "tail_without_stop",
    "mov rsp, rcx; mov rbx, r9; mov rbp, r8; jmp rdx; nop"
);

plant!(
    "right_switch",
    push_all!(),
    load!(),
    save!(),
    leave!(),
    pop_all!(),
    back!()
);
plant!(
    "store_below_rsp",
    push_all!(),
    "mov [rsp - 8], rbx",
    load!(),
    save!(),
    leave!(),
    pop_all!(),
    back!()
);
plant!(
    "word_kept_below_rsp",
    push_all!(),
    "push rdi; .cfi_adjust_cfa_offset 8; lea rsp, [rsp + 8]; .cfi_adjust_cfa_offset -8; mov rdi, [rsp - 8]",
    load!(),
    save!(),
    leave!(),
    pop_all!(),
    back!()
);
plant!(
    "word_below_saved_rsp",
    push_all!(),
    load!(),
    save!(),
    "push rbx",
    leave!(),
    "lea rsp, [rsp - 8]; pop rbx",
    pop_all!(),
    back!()
);
plant!(
    "store_into_next",
    push_all!(),
    load!(),
    "mov [r11 + 8], rax",
    save!(),
    leave!(),
    pop_all!(),
    back!()
);
plant!(
    "store_over_return_address",
    "endbr64; mov [rsp], rdi",
    push_all!(),
    load!(),
    save!(),
    leave!(),
    pop_all!(),
    back!()
);
plant!(
    "rsp_in_no_stack",
    push_all!(),
    load!(),
    "mov rsp, r8",
    save!(),
    leave!(),
    pop_all!(),
    back!()
);
plant!(
    "swapped_slots",
    push_all!(),
    load!(),
    "mov [r10 + 16], rsp; mov [r10 + 8], rax; mov [r10], rbx; mov [r10 + 24], rbp",
    leave!(),
    pop_all!(),
    back!()
);
plant!(
    "swapped_registers",
    push_all!(),
    "mov r10, rdx; mov r11, rcx; lea rax, [rip + 2f]",
    "mov rcx, [r11 + 16]; mov rdx, [r11 + 8]; mov r9, [r11]; mov r8, [r11 + 24]",
    save!(),
    leave!(),
    pop_all!(),
    back!()
);
plant!(
    "without_r14",
    concat!(
        "endbr64;",
        push!("r12"),
        ";",
        push!("r13"),
        ";",
        push!("r15")
    ),
    load!(),
    save!(),
    leave!(),
    concat!(pop!("r15"), ";", pop!("r13"), ";", pop!("r12")),
    back!()
);
plant!(
    "sets_direction",
    push_all!(),
    "std",
    load!(),
    save!(),
    leave!(),
    pop_all!(),
    back!()
);
plant!(
    "changes_interrupts",
    push_all!(),
    "sti",
    load!(),
    save!(),
    leave!(),
    pop_all!(),
    back!()
);
plant!(
    "loses_payload",
    push_all!(),
    load!(),
    "xor edi, edi",
    save!(),
    leave!(),
    pop_all!(),
    back!()
);
plant!(
    "landing_without_endbr",
    push_all!(),
    load!(),
    save!(),
    "jmp right_tail; 2: nop",
    pop_all!(),
    back!()
);
plant!(
    "wrong_unwind_rule",
    concat!(
        "endbr64;",
        push!("r12"),
        ";",
        push!("r13"),
        ";",
        push!("r14"),
        "; push r15"
    ),
    load!(),
    save!(),
    leave!(),
    concat!("pop r15;", pop!("r14"), ";", pop!("r13"), ";", pop!("r12")),
    back!()
);
plant!(
    "saves_too_little",
    push_all!(),
    load!(),
    "mov [r10 + 16], rsp; mov [r10 + 8], rax; mov [r10], rbp",
    leave!(),
    pop_all!(),
    back!()
);

// Behind the macros that it uses.
mod control_words;
