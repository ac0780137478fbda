// A switch with known words in all registers, and a look at what came back. See checked.rs, whose `Check` r8 points to.
//
//   kfiber_test_random_switch, kfiber_test_checked_switch
//     in:  rdi payload, rsi tag, rdx prev, rcx next: as the function in the `Check` takes them
//          r8 the `Check` of the one who switches, r9 a word to make garbage from
//     out: rax 0, or bits that differ from what they must be
//
// Called and calling by the System V ABI. The payload that comes back is the address of this side's `Check`.

.pushsection .text.kfiber_test_checked_switch, "ax", @progbits
.balign 64
.global kfiber_test_random_switch
.type kfiber_test_random_switch, @function
kfiber_test_random_switch:               // chooses the six words too
    imul rax, r9, 0x5bd1e995
    mov [r8 + {rbx}], rax
    imul rax, r9, 0x27d4eb2f
    mov [r8 + {rbp}], rax
    imul rax, r9, 0x165667b1
    mov [r8 + {r12}], rax
    imul rax, r9, -0x61c88647
    mov [r8 + {r13}], rax
    imul rax, r9, -0x3d4d51c3
    mov [r8 + {r14}], rax
    imul rax, r9, -0x7a143589
    mov [r8 + {r15}], rax

.global kfiber_test_checked_switch
.type kfiber_test_checked_switch, @function
kfiber_test_checked_switch:
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    push r8                              // rsp is a multiple of 16 again
    mov [r8 + {rsp}], rsp
    mov r11, [r8 + {function}]
    mov rbx, [r8 + {rbx}]
    mov rbp, [r8 + {rbp}]
    mov r12, [r8 + {r12}]
    mov r13, [r8 + {r13}]
    mov r14, [r8 + {r14}]
    mov r15, [r8 + {r15}]
garbage_elsewhere:                       // r11 holds the function's address, which is as good as any
    mov rax, r9
    not rax
    mov r10, r9
    rol r10, 23
    mov r8, r9
    add r8, r10                          // and all six status flags
    call r11

compare:                                 // rax = payload, my `Check`; rdx = tag
    xor rbx, [rax + {rbx}]
    xor rbp, [rax + {rbp}]
    xor r12, [rax + {r12}]
    xor r13, [rax + {r13}]
    xor r14, [rax + {r14}]
    xor r15, [rax + {r15}]
    mov rcx, rsp
    xor rcx, [rax + {rsp}]
    mov rdi, rax
    xor rdi, [rsp]                       // the payload
    xor rdx, [rax + {tag}]
    and rdx, [rax + {tag_mask}]
    mov rsi, rbx
    or rsi, rbp
    or rsi, r12
    or rsi, r13
    or rsi, r14
    or rsi, r15
    or rsi, rcx
    or rsi, rdi
    or rsi, rdx
    jz restore
report_differences:
    mov [rax + {difference}], rbx
    mov [rax + {difference} + 8], rbp
    mov [rax + {difference} + 16], r12
    mov [rax + {difference} + 24], r13
    mov [rax + {difference} + 32], r14
    mov [rax + {difference} + 40], r15
    mov [rax + {difference} + 48], rcx
    mov [rax + {difference} + 56], rdi
    mov [rax + {difference} + 64], rdx
restore:
    mov rsp, [rax + {rsp}]
    mov rax, rsi
    pop r8
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    ret
.size kfiber_test_random_switch, . - kfiber_test_random_switch
.size kfiber_test_checked_switch, . - kfiber_test_checked_switch
.popsection
