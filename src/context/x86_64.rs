//! The assembly of the switch, and of the first frame of a fiber.
//!
//! ```text
//!   in the code that switches                  shared by all of a form          in the code of the other side
//!   lea rax, landing                     ┌───► tail:                       ┌──► landing:
//!   store rsp rbp rbx rax in `prev`      │       mov rsp, [next + sp]      │      endbr64
//!   jmp tail ────────────────────────────┘       mov rbx, [next + rbx]     │
//!                                                mov rbp, [next + rbp]     │
//!                                                jmp [next + ip] ──────────┘
//!   rdi = payload, rsi = tag, passed on untouched
//! ```
//!
//! Each form of the switch has a tail, which knows where the context to be continued lies: `own` of
//! the block in rsi after `resume`, `parent` of it after `suspend`, and `own` of the block in r10
//! after `switch`. A tail for several directions would be slow: processors predict by the address of a
//! load how far back the store is whose word it will find. The switch out of line gets any two
//! contexts, loads the words into rcx, rdx, r8 and r9, and jumps to `tail_of_registers`.
//!
//! A fiber that leaves for good stores nothing and jumps to `exit_tail`. `exit_tail` continues the
//! other context too, but first calls a function on its stack. That function does what is possible
//! only after the first stack is no longer in use.
//!
//! - **No `call`, no `ret`**: the returns of each fiber stay in step with the processor's return
//!   predictor. This makes a switch inside a called function cheap.
//! - **No `push`, no `pop`**: the four words are moved by `mov` through the control block. The
//!   processor forwards them from store to load without waiting for the stack pointer.
//! - **Exact backtraces without any directive in the inline part**: up to the jump to a tail all
//!   registers are those of the code that switches, and at the landing all registers are those of the
//!   other side. In a tail the unwind rules name the other side as the caller. They hold from the
//!   first byte to the last, because neither the register nor the context that they use changes. A
//!   breakpoint at each tail catches every switch.
//! - `lea` takes the address of the landing. Unwinders look up the byte before a return address,
//!   which belongs to the jump of the same block, so they report the right function and line.
//! - `int3` after a jump stops straight-line speculation; indirect-branch tracking wants `endbr64`.

use super::block::{After, Context, ControlBlock, Payload, Transfer};
use super::control_words::{exchange_control_words, load_control_words, store_control_words};
use super::unwind;
use core::arch::{asm, naked_asm};
use core::mem::offset_of;

/// The assembly of a switch. `$prev` and `$next` name the registers that hold the two blocks, and
/// the operands `prev` and `next` select a context in each block. `$tail` continues the latter. The
/// address is stored last: a context whose address is stored is complete.
macro_rules! exchange {
    ($prev:literal, $next:literal, $tail:ident, { $($operands:tt)* }) => {
        asm!(
            "lea rax, [rip + 2f]",
            store_control_words!(concat!($prev, " + {prev}")),
            concat!("mov [", $prev, " + {prev} + {sp}],  rsp"),
            concat!("mov [", $prev, " + {prev} + {rbp}], rbp"),
            concat!("mov [", $prev, " + {prev} + {rbx}], rbx"),
            concat!("mov [", $prev, " + {prev} + {ip}],  rax"),
            exchange_control_words!(concat!($prev, " + {prev}"), concat!($next, " + {next}")),
            "jmp {tail} /* {next} */",
            "2: endbr64",
            $($operands)*
            sp = const Context::SP_AT,
            ip = const Context::IP_AT,
            rbp = const Context::RBP_AT,
            rbx = const Context::RBX_AT,
            tail = sym $tail,
            // All but rsp, rbp and rbx, which the switch itself keeps. No `nostack`: the compiler then has nothing
            // below rsp even where the target has a red zone.
            lateout("r12") _, lateout("r13") _, lateout("r14") _, lateout("r15") _,
            clobber_abi("sysv64"),
        )
    };
}

/// Stores the running context in `block.parent` and continues `block.own`, so the fiber runs.
///
/// # Safety
///
/// `block.own` can be continued (**C1**, **C2**), and the block stays in place (**C3**).
#[inline(always)]
pub unsafe fn resume(block: *mut ControlBlock, payload: Payload) -> Transfer {
    let (received, tag);
    // SAFETY: C1 to C3, by the caller. Every register is saved by the switch or declared as clobbered.
    unsafe {
        exchange!("rsi", "rsi", resume_tail, {
            prev = const offset_of!(ControlBlock, parent),
            next = const offset_of!(ControlBlock, own),
            inout("rdi") payload => received,
            inout("rsi") block => tag,
        });
    }
    Transfer {
        payload: received,
        tag,
    }
}

/// Stores the running context, the fiber of `block`, in `block.own` and continues `block.parent`.
///
/// # Safety
///
/// The caller runs on the fiber of `block`, which was entered by [`resume`] and has not been left
/// since (**C1**, **C2**).
#[inline(always)]
pub unsafe fn suspend(block: *mut ControlBlock, payload: Payload) -> Payload {
    let received;
    // SAFETY: C1 and C2, by the caller. Every register is saved by the switch or declared as clobbered.
    unsafe {
        exchange!("rsi", "rsi", suspend_tail, {
            prev = const offset_of!(ControlBlock, own),
            next = const offset_of!(ControlBlock, parent),
            inout("rdi") payload => received,
            inout("rsi") block => _,
        });
    }
    received
}

/// Stores the running context in `prev.own` and continues `next.own`. Schedulers need only this.
///
/// # Safety
///
/// `next.own` can be continued (**C1**, **C2**). `prev` is valid for writes, is not `next`, and
/// describes no other context that is still needed. Both stay in place (**C3**).
#[inline(always)]
pub unsafe fn switch(
    prev: *mut ControlBlock,
    next: *mut ControlBlock,
    payload: Payload,
) -> Transfer {
    let (received, tag);
    // SAFETY: C1 to C3, by the caller. Every register is saved by the switch or declared as clobbered.
    unsafe {
        exchange!("rsi", "r10", switch_tail, {
            prev = const offset_of!(ControlBlock, own),
            next = const offset_of!(ControlBlock, own),
            inout("rdi") payload => received,
            inout("rsi") prev => tag,
            inout("r10") next => _,
        });
    }
    Transfer {
        payload: received,
        tag,
    }
}

/// Leaves the running context for good and continues `next.own`, which first calls `after(left)` on
/// its own stack. At that time nobody uses the stack that was left. The switch delivers a payload
/// and a tag of zero to `next`.
///
/// This function does not return. (The version for interpreters does return, and the body must then
/// return the value that it got.)
///
/// # Safety
///
/// `next.own` can be continued (**C1**, **C2**), and is where a [`switch`] or
/// [`ControlBlock::init`] left it. Nothing on the running stack is needed any more, except by
/// `after`, which does not unwind. `left` is the running fiber's block.
#[inline(always)]
pub unsafe fn leave(next: *const ControlBlock, after: After, left: *mut ControlBlock) -> Payload {
    // SAFETY: C1 and C2, by the caller; nothing comes back.
    unsafe {
        asm!(
            "mov rcx, [rsi + {next} + {sp}]",
            "mov rdx, [rsi + {next} + {ip}]",
            "mov r8,  [rsi + {next} + {rbp}]",
            "mov r9,  [rsi + {next} + {rbx}]",
            load_control_words!("rsi + {next}"),
            "jmp {exit_tail}",
            next = const offset_of!(ControlBlock, own),
            sp = const Context::SP_AT,
            ip = const Context::IP_AT,
            rbp = const Context::RBP_AT,
            rbx = const Context::RBX_AT,
            exit_tail = sym exit_tail,
            in("rdi") left,
            in("rsi") next,
            in("rax") after,
            options(noreturn),
        )
    }
}

/// The end of a form of the switch: continues a context that lies in the block in `$block`.
///
/// The unwind rules are expressions, since the words lie in the block and not in a frame. `$dwarf` is
/// the operation that pushes `$block` plus a number, which takes two bytes in LEB128. What lies there
/// is the frame address, or the caller's register.
macro_rules! tail {
    ($(#[$doc:meta])* $name:ident, $block:literal, $dwarf:literal, $context:ident) => {
        $(#[$doc])*
        #[unsafe(naked)]
        pub(crate) unsafe extern "sysv64" fn $name() {
            naked_asm!(
                ".cfi_startproc simple",
                // DW_CFA_def_cfa_expression: the word there; DW_CFA_expression for rip, rbp and rbx
                concat!(".cfi_escape 0x0f, 4, ", $dwarf, ", ({sp} & 0x7f) | 0x80, {sp} >> 7, 0x06"),
                concat!(".cfi_escape 0x10, 16, 3, ", $dwarf, ", ({ip} & 0x7f) | 0x80, {ip} >> 7"),
                concat!(".cfi_escape 0x10, 6, 3, ", $dwarf, ", ({rbp} & 0x7f) | 0x80, {rbp} >> 7"),
                concat!(".cfi_escape 0x10, 3, 3, ", $dwarf, ", ({rbx} & 0x7f) | 0x80, {rbx} >> 7"),
                ".cfi_undefined r12",
                ".cfi_undefined r13",
                ".cfi_undefined r14",
                ".cfi_undefined r15",
                concat!("mov rsp, [", $block, " + {sp}]"),
                concat!("mov rbx, [", $block, " + {rbx}]"),
                concat!("mov rbp, [", $block, " + {rbp}]"),
                concat!("jmp [", $block, " + {ip}]"),
                "int3",
                ".cfi_endproc",
                sp = const offset_of!(ControlBlock, $context) + Context::SP_AT,
                ip = const offset_of!(ControlBlock, $context) + Context::IP_AT,
                rbp = const offset_of!(ControlBlock, $context) + Context::RBP_AT,
                rbx = const offset_of!(ControlBlock, $context) + Context::RBX_AT,
            )
        }
    };
}

tail!(
    /// The end of [`resume`]: continues `own` of the block in rsi.
    resume_tail, "rsi", "0x74", own
);
tail!(
    /// The end of [`suspend`]: continues `parent` of the block in rsi.
    suspend_tail, "rsi", "0x74", parent
);
tail!(
    /// The end of [`switch`]: continues `own` of the block in r10.
    switch_tail, "r10", "0x7a", own
);

/// The end of the switch out of line: continues the context whose registers are in rcx (sp), rdx
/// (ip), r8 (rbp) and r9 (rbx).
#[unsafe(naked)]
pub(super) unsafe extern "sysv64" fn tail_of_registers() {
    naked_asm!(
        ".cfi_startproc simple",
        ".cfi_def_cfa rcx, 0", // the caller is the context to be continued
        ".cfi_register rip, rdx",
        ".cfi_register rbp, r8",
        ".cfi_register rbx, r9",
        ".cfi_undefined r12",
        ".cfi_undefined r13",
        ".cfi_undefined r14",
        ".cfi_undefined r15",
        "mov rsp, rcx",
        "mov rbx, r9",
        "mov rbp, r8",
        "jmp rdx",
        "int3",
        ".cfi_endproc",
    )
}

/// The end of a switch for good: takes over the context whose registers are in rcx, rdx, r8 and r9
/// as for [`tail_of_registers`], calls rax with rdi, and continues at rdx with a payload and a tag of zero. The
/// stack pointer of that context is 16-byte aligned.
#[unsafe(naked)]
pub(super) unsafe extern "sysv64" fn exit_tail() {
    naked_asm!(
        ".cfi_startproc simple",
        ".cfi_def_cfa rcx, 0", // the caller is the context to be continued
        ".cfi_register rip, rdx",
        ".cfi_register rbp, r8",
        ".cfi_register rbx, r9",
        ".cfi_undefined r12",
        ".cfi_undefined r13",
        ".cfi_undefined r14",
        ".cfi_undefined r15",
        "mov rsp, rcx",
        "mov rbx, r9",
        "mov rbp, r8",
        "push rdx", // from here on an ordinary frame, called from where that context goes on
        ".cfi_def_cfa rsp, 8",
        ".cfi_offset rip, -8",
        ".cfi_same_value rbp",
        ".cfi_same_value rbx",
        "sub rsp, 8", // a call wants the stack aligned
        ".cfi_adjust_cfa_offset 8",
        "call rax",
        "add rsp, 8",
        ".cfi_adjust_cfa_offset -8",
        "xor edi, edi",
        "xor esi, esi",
        "pop rdx",
        ".cfi_def_cfa rsp, 0",
        ".cfi_register rip, rdx",
        "jmp rdx",
        "int3",
        ".cfi_endproc",
    )
}

/// The caller that an unwinder finds for a suspended fiber, and for one that no fiber resumed. The
/// backtrace ends there.
#[unsafe(naked)]
unsafe extern "sysv64" fn suspended() {
    naked_asm!(
        ".cfi_startproc",
        ".cfi_undefined rip",
        "nop",
        "ud2",
        ".cfi_endproc"
    )
}

/// The first frame of every fiber: calls the body (rbx) with payload and block (rbp), then leaves
/// for good.
///
/// It is entered at `first_entry`, one byte in, since unwinders look up the byte before a return
/// address. Its rules for unwinders, "the caller is `block.parent`", are in `unwind.rs`.
#[unsafe(naked)]
unsafe extern "sysv64" fn base() {
    naked_asm!(
        "nop",
        "endbr64",
        "cld",                                  // DF = 0 at a function's entry, whatever the resumer left
        "mov rsi, rbp",
        "call rbx",                             // body(payload, block) -> payload
        "mov rdi, rax",
        "xor esi, esi",                         // a null tag: this fiber has ended
        load_control_words!("rbp + {parent}"),
        "mov rdx, [rbp + {parent} + {ip}]",
        "mov rsp, [rbp + {parent} + {sp}]",
        "mov rbx, [rbp + {parent} + {rbx}]",
        "mov rbp, [rbp + {parent} + {rbp}]",
        "3: jmp rdx",
        "int3",
        "4:",
        unwind::base_frame!("{base}", "3b", "4b"),
        base = sym base,
        parent = const offset_of!(ControlBlock, parent),
        sp = const Context::SP_AT,
        ip = const Context::IP_AT,
        rbp = const Context::RBP_AT,
        rbx = const Context::RBX_AT,
    )
}

/// Computes the address one byte into a function of this file, in one instruction. On
/// position-independent targets, a function's own address is a load from the global offset table.
macro_rules! address_past_first_byte {
    ($function:ident) => {{
        let address;
        // SAFETY: it computes an address, and touches neither memory, stack nor flags.
        unsafe {
            asm!("lea {}, [rip + {} + 1]", out(reg) address, sym $function,
                options(pure, nomem, nostack, preserves_flags));
        }
        address
    }};
}

/// Returns the address at which a new fiber begins, which is past the first byte of `base`.
#[inline(always)]
pub(super) fn first_entry() -> *const () {
    address_past_first_byte!(base)
}

/// Returns the return address that marks a suspended fiber, past the first byte of `suspended`.
#[inline(always)]
pub(super) fn suspended_marker() -> *const () {
    address_past_first_byte!(suspended)
}
