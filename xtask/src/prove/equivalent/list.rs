//! The list of equivalent mutants. Nearly all are two neighbours that do not need each other's result: their order is a
//! matter of speed.

use super::List;
use crate::prove::part::Part;

const LOADS: &str = "two loads: neither writes what the other one's address is made of";
const STORES: &str = "two stores to different words, of registers that neither changes";
const ADDRESS: &str = "the other side reads both later; a backtrace in between, which single-stepping kernels check, \
    wants the address last";
const LOAD_AND_STORE: &str =
    "the contexts do not overlap, and neither writes a register that the other reads";
const LANDING: &str =
    "the landing's address depends on nothing, and only the store of it needs rax";
const MOVES: &str = "two moves between different registers";
const COMPARED: &str =
    "MXCSR is then compared on every processor, which is slow on some and right on all";
const ALWAYS: &str =
    "the control word is then loaded whether it differs or not, which is slow and right";

/// Part, reason, and the mutants that it is the reason for.
pub(super) const EQUIVALENT: List = &[
    (
        Part::OutOfLine,
        MOVES,
        &[
            "swap `mov r10, rdx` and `mov r11, rcx`",
            "swap `mov rax, rdi` and `mov rdx, rsi`",
        ],
    ),
    (
        Part::OutOfLine,
        LANDING,
        &[
            "swap `mov r11, rcx` and `lea rax, [landing]`",
            "swap `lea rax, [landing]` and `mov rcx, [r11+0x10]`",
        ],
    ),
    (
        Part::OutOfLine,
        "rcx still holds `next`, as r11 does, until this very load replaces it",
        &["`mov rcx, [r11+0x10]`: RCX as base"],
    ),
    (
        Part::OutOfLine,
        LOADS,
        &[
            "swap `mov rcx, [r11+0x10]` and `mov rdx, [r11+8]`",
            "swap `mov rdx, [r11+8]` and `mov r8, [r11]`",
            "swap `mov r8, [r11]` and `mov r9, [r11+0x18]`",
        ],
    ),
    (
        Part::OutOfLine,
        LOAD_AND_STORE,
        &[
            "swap `mov r9, [r11+0x18]` and `mov [r10+0x10], rsp`",
            "swap `mov r9, [r11+0x18]` and `stmxcsr [r10+0x20]`",
        ],
    ),
    (
        Part::OutOfLine,
        STORES,
        &[
            "swap `mov [r10+0x10], rsp` and `mov [r10], rbp`",
            "swap `mov [r10], rbp` and `mov [r10+0x18], rbx`",
            "swap `stmxcsr [r10+0x20]` and `fnstcw [r10+0x24]`",
            "swap `fnstcw [r10+0x24]` and `mov [r10+0x10], rsp`",
        ],
    ),
    (
        Part::OutOfLine,
        ADDRESS,
        &["swap `mov [r10+0x18], rbx` and `mov [r10+8], rax`"],
    ),
    (Part::OutOfLine, COMPARED, &["delete `jb +13`"]),
    (
        Part::OutOfLine,
        ALWAYS,
        &[
            "delete `je +5`",
            "delete `je +4`",
            "flip a bit: `je +4` becomes `je +0`",
        ],
    ),
    (
        Part::Tail,
        "two moves between different registers, and no unwind rule here looks at what they write",
        &[
            "swap `mov rsp, rcx` and `mov rbx, r9`",
            "swap `mov rbx, r9` and `mov rbp, r8`",
        ],
    ),
    (
        Part::ResumeTail,
        LOADS,
        &[
            "swap `mov rsp, [rsi+0x30]` and `mov rbx, [rsi+0x38]`",
            "swap `mov rbx, [rsi+0x38]` and `mov rbp, [rsi+0x20]`",
            "swap `mov rsp, [rsi+0x50]` and `mov rbx, [rsi+0x58]`",
            "swap `mov rbx, [rsi+0x58]` and `mov rbp, [rsi+0x40]`",
        ],
    ),
    (
        Part::SuspendTail,
        LOADS,
        &[
            "swap `mov rsp, [rsi+0x10]` and `mov rbx, [rsi+0x18]`",
            "swap `mov rbx, [rsi+0x18]` and `mov rbp, [rsi]`",
        ],
    ),
    (
        Part::SwitchTail,
        LOADS,
        &[
            "swap `mov rsp, [r10+0x30]` and `mov rbx, [r10+0x38]`",
            "swap `mov rbx, [r10+0x38]` and `mov rbp, [r10+0x20]`",
            "swap `mov rsp, [r10+0x50]` and `mov rbx, [r10+0x58]`",
            "swap `mov rbx, [r10+0x58]` and `mov rbp, [r10+0x40]`",
        ],
    ),
    (
        Part::Base,
        "the direction flag and rsi have nothing to do with each other",
        &["swap `cld` and `mov rsi, rbp`"],
    ),
    (
        Part::Base,
        "rdi and rsi are two registers; the status flags that `xor` changes are lost at a switch",
        &["swap `mov rdi, rax` and `xor esi, esi`"],
    ),
    (
        Part::Base,
        "rsi is no part of an address, and no load changes it",
        &[
            "swap `xor esi, esi` and `mov rdx, [rbp+8]`",
            "swap `xor esi, esi` and `ldmxcsr [rbp+0x20]`",
        ],
    ),
    (
        Part::Base,
        "the two encodings of `xor` between registers",
        &["flip a bit: `xor esi, esi` becomes `xor esi, esi`"],
    ),
    (
        Part::Base,
        LOADS,
        &[
            "swap `ldmxcsr [rbp+0x20]` and `fldcw [rbp+0x24]`",
            "swap `fldcw [rbp+0x24]` and `mov rdx, [rbp+8]`",
            "swap `mov rdx, [rbp+8]` and `mov rsp, [rbp+0x10]`",
            "swap `mov rsp, [rbp+0x10]` and `mov rbx, [rbp+0x18]`",
        ],
    ),
    // Inline copies: without control words of floating-point units `own` is at 0x20, with them at 0x40.
    (
        Part::Resume,
        LANDING,
        &[
            "swap `lea rax, [landing]` and `mov [rsi+0x10], rsp`",
            "swap `lea rax, [landing]` and `stmxcsr [rsi+0x20]`",
        ],
    ),
    (
        Part::Resume,
        STORES,
        &[
            "swap `mov [rsi+0x10], rsp` and `mov [rsi], rbp`",
            "swap `mov [rsi], rbp` and `mov [rsi+0x18], rbx`",
            "swap `stmxcsr [rsi+0x20]` and `fnstcw [rsi+0x24]`",
            "swap `fnstcw [rsi+0x24]` and `mov [rsi+0x10], rsp`",
        ],
    ),
    (
        Part::Resume,
        ADDRESS,
        &["swap `mov [rsi+0x18], rbx` and `mov [rsi+8], rax`"],
    ),
    (Part::Resume, COMPARED, &["delete `jb +11`"]),
    (
        Part::Resume,
        ALWAYS,
        &[
            "delete `je +4`",
            "delete `je +3`",
            "flip a bit: `je +4` becomes `je +0`",
        ],
    ),
    (
        Part::Suspend,
        LANDING,
        &[
            "swap `lea rax, [landing]` and `mov [rsi+0x30], rsp`",
            "swap `lea rax, [landing]` and `stmxcsr [rsi+0x60]`",
        ],
    ),
    (
        Part::Suspend,
        STORES,
        &[
            "swap `mov [rsi+0x30], rsp` and `mov [rsi+0x20], rbp`",
            "swap `mov [rsi+0x50], rsp` and `mov [rsi+0x40], rbp`",
            "swap `mov [rsi+0x20], rbp` and `mov [rsi+0x38], rbx`",
            "swap `mov [rsi+0x40], rbp` and `mov [rsi+0x58], rbx`",
            "swap `stmxcsr [rsi+0x60]` and `fnstcw [rsi+0x64]`",
            "swap `fnstcw [rsi+0x64]` and `mov [rsi+0x50], rsp`",
        ],
    ),
    (
        Part::Suspend,
        ADDRESS,
        &[
            "swap `mov [rsi+0x38], rbx` and `mov [rsi+0x28], rax`",
            "swap `mov [rsi+0x58], rbx` and `mov [rsi+0x48], rax`",
        ],
    ),
    (Part::Suspend, COMPARED, &["delete `jb +11`"]),
    (
        Part::Suspend,
        ALWAYS,
        &[
            "delete `je +4`",
            "delete `je +3`",
            "flip a bit: `je +4` becomes `je +0`",
        ],
    ),
    (
        Part::Switch,
        LANDING,
        &[
            "swap `lea rax, [landing]` and `mov [rsi+0x30], rsp`",
            "swap `lea rax, [landing]` and `stmxcsr [rsi+0x60]`",
        ],
    ),
    (
        Part::Switch,
        STORES,
        &[
            "swap `mov [rsi+0x30], rsp` and `mov [rsi+0x20], rbp`",
            "swap `mov [rsi+0x50], rsp` and `mov [rsi+0x40], rbp`",
            "swap `mov [rsi+0x20], rbp` and `mov [rsi+0x38], rbx`",
            "swap `mov [rsi+0x40], rbp` and `mov [rsi+0x58], rbx`",
            "swap `stmxcsr [rsi+0x60]` and `fnstcw [rsi+0x64]`",
            "swap `fnstcw [rsi+0x64]` and `mov [rsi+0x50], rsp`",
        ],
    ),
    (
        Part::Switch,
        ADDRESS,
        &[
            "swap `mov [rsi+0x38], rbx` and `mov [rsi+0x28], rax`",
            "swap `mov [rsi+0x58], rbx` and `mov [rsi+0x48], rax`",
        ],
    ),
    (Part::Switch, COMPARED, &["delete `jb +12`"]),
    (
        Part::Switch,
        ALWAYS,
        &[
            "delete `je +5`",
            "delete `je +4`",
            "flip a bit: `je +4` becomes `je +0`",
        ],
    ),
    (
        Part::ExitTail,
        MOVES,
        &[
            "swap `mov rsp, rcx` and `mov rbx, r9`",
            "swap `mov rbx, r9` and `mov rbp, r8`",
        ],
    ),
    (
        Part::ExitTail,
        "the push needs rsp and rdx, the move writes neither",
        &["swap `mov rbp, r8` and `push rdx`"],
    ),
    (
        Part::ExitTail,
        "two different registers, and the flags are lost at a switch by contract",
        &[
            "swap `add rsp, 8` and `xor edi, edi`",
            "swap `xor edi, edi` and `xor esi, esi`",
        ],
    ),
    (
        Part::ExitTail,
        "another encoding of the same instruction",
        &[
            "flip a bit: `xor edi, edi` becomes `xor edi, edi`",
            "flip a bit: `xor esi, esi` becomes `xor esi, esi`",
        ],
    ),
    (
        Part::Leave,
        LOADS,
        &[
            "swap `mov rcx, [rsi+0x30]` and `mov rdx, [rsi+0x28]`",
            "swap `mov rdx, [rsi+0x28]` and `mov r8, [rsi+0x20]`",
            "swap `mov r8, [rsi+0x20]` and `mov r9, [rsi+0x38]`",
            "swap `mov rcx, [rsi+0x50]` and `mov rdx, [rsi+0x48]`",
            "swap `mov rdx, [rsi+0x48]` and `mov r8, [rsi+0x40]`",
            "swap `mov r8, [rsi+0x40]` and `mov r9, [rsi+0x58]`",
            "swap `mov r9, [rsi+0x58]` and `ldmxcsr [rsi+0x60]`",
            "swap `ldmxcsr [rsi+0x60]` and `fldcw [rsi+0x64]`",
        ],
    ),
];
