//! First frames of a fiber, with one error each.

use core::arch::global_asm;

macro_rules! end {
    () => {
        "mov rdx, [rbp + 8]; mov rsp, [rbp + 16]; mov rbx, [rbp + 24]; mov rbp, [rbp]; jmp rdx; int3"
    };
}

plant!(
    "base_without_cld",
    "nop; endbr64; mov rsi, rbp; call rbx; mov rdi, rax; xor esi, esi",
    end!()
);
plant!(
    "base_misaligned",
    "nop; endbr64; cld; mov rsi, rbp; push rax; call rbx; mov rdi, rax; xor esi, esi",
    end!()
);
plant!(
    "base_stores",
    "nop; endbr64; cld; mov rsi, rbp; mov [rbp], rbx; call rbx; mov rdi, rax; xor esi, esi",
    end!()
);
plant!(
    "base_returns_stale",
    "nop; endbr64; cld; mov rsi, rbp; mov r12, [rbp + 8]; call rbx; mov rdi, rax; xor esi, esi; mov rsp, [rbp + 16]; mov rbx, [rbp + 24]; mov rbp, [rbp]; jmp r12; int3"
);
plant!(
    "base_without_tag",
    "nop; endbr64; cld; mov rsi, rbp; call rbx; mov rdi, rax",
    end!()
);
