// Entry of every exception and interrupt: saves all registers as a `TrapFrame`, calls Rust, restores, returns.
//
// The unwind tables are written by hand, twice. The `.cfi_*` directives would not do: on the bare target they are emitted
// to `.debug_frame` only, and there LLVM drops `.cfi_signal_frame`, without which unwinders look up the interrupted
// instruction's predecessor. The CFA is the address of the saved rip, where the processor's own frame begins, so that
// every rule is a plain offset. All 15 registers have one: a switch of stacks carries its target in rcx, rdx, r8, r9.

.pushsection .text.kfiber_test_traps, "ax", @progbits

.macro without_error_code vector
kfiber_test_vector_\vector:
    push 0                               // in place of the error code
    push \vector
    jmp kfiber_test_trap
.Lend_of_vector_\vector:
.type kfiber_test_vector_\vector, @function
.size kfiber_test_vector_\vector, . - kfiber_test_vector_\vector
.endm

.macro with_error_code vector
kfiber_test_vector_\vector:
    push \vector
    jmp kfiber_test_trap
.Lend_of_vector_\vector:
.type kfiber_test_vector_\vector, @function
.size kfiber_test_vector_\vector, . - kfiber_test_vector_\vector
.endm

.irp vector, 0,1,2,3,4,5,6,7,9,15,16,18,19,20,22,23,24,25,26,27,28,31,32,33,34,35,36,37,38,39,40,41,42,43,44,45,46,47
    without_error_code \vector
.endr
.irp vector, 8,10,11,12,13,14,17,21,29,30
    with_error_code \vector
.endr

.global kfiber_test_trap
.type kfiber_test_trap, @function
kfiber_test_trap:                        // rsp: vector, error code, then rip, cs, rflags, rsp, ss
    push rax
    push rcx
    push rdx
    push rbx
    push rbp
    push rsi
    push rdi
    push r8
    push r9
    push r10
    push r11
    push r12
    push r13
    push r14
    push r15
.Lsaved:
    cld
    mov rdi, rsp                         // the `TrapFrame`; rsp is a multiple of 16 here
    call kfiber_test_on_trap
.Lrestore:
    pop r15
    pop r14
    pop r13
    pop r12
    pop r11
    pop r10
    pop r9
    pop r8
    pop rdi
    pop rsi
    pop rbp
    pop rbx
    pop rdx
    pop rcx
    pop rax
    add rsp, 16
.Lreturn:
    iretq
.Ltrap_end:
.size kfiber_test_trap, . - kfiber_test_trap
.popsection

.pushsection .rodata.kfiber_test_vectors, "a", @progbits
.balign 8
.global kfiber_test_vectors
kfiber_test_vectors:
.irp vector, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32,33,34,35,36,37,38,39,40,41,42,43,44,45,46,47
    .quad kfiber_test_vector_\vector
.endr
.popsection

// Rules that hold at every instruction: CFA = rsp, rip at CFA, rsp at CFA + 24.
.macro initial_rules
    .byte 0x0c, 7, 0                     // DW_CFA_def_cfa rsp, 0
    .byte 0x90, 0                        // DW_CFA_offset rip, 0
    .byte 0x11, 7, 0x7d                  // DW_CFA_offset_extended_sf rsp, -3 * -8
.endm

.macro cfa_offset_after size, offset     // from `size` bytes further on, CFA = rsp + offset
    .byte 0x40 + \size                   // DW_CFA_advance_loc
    .byte 0x0e                           // DW_CFA_def_cfa_offset
    .uleb128 \offset
.endm

.macro rules_without_error_code
    cfa_offset_after 2, 8
    cfa_offset_after 2, 16
.endm

.macro rules_with_error_code
    .byte 0x0e, 8
    cfa_offset_after 2, 16
.endm

.macro rules_after_push register, size
    .set depth, depth + 8
    cfa_offset_after \size, depth
    .byte 0x80 + \register, depth / 8    // DW_CFA_offset register, at CFA - depth
.endm

.macro rules_after_pop register, size
    .set depth, depth - 8
    cfa_offset_after \size, depth
    .byte 0xc0 + \register               // DW_CFA_restore register
.endm

.macro rules_of_trap
    .byte 0x0e, 16
    .set depth, 16
    .irp register, 0,2,1,3,6,4,5         // rax, rcx, rdx, rbx, rbp, rsi, rdi in DWARF's numbers
    rules_after_push \register, 1
    .endr
    .irp register, 8,9,10,11,12,13,14,15
    rules_after_push \register, 2
    .endr
    .byte 0x02, .Lrestore - .Lsaved      // DW_CFA_advance_loc1
    .irp register, 15,14,13,12,11,10,9,8
    rules_after_pop \register, 2
    .endr
    .irp register, 5,4,6,3,1,2,0
    rules_after_pop \register, 1
    .endr
    cfa_offset_after 4, 0
.endm

.macro eh_frame_entry start, stop, rules
    .long .Leh_\@_end - .Leh_\@
.Leh_\@:
    .long .Leh_\@ - .Leh_common
    .long \start - .
    .long \stop - \start
    .uleb128 0
    \rules
    .balign 8
.Leh_\@_end:
.endm

.macro debug_frame_entry start, stop, rules
    .long .Ldebug_\@_end - .Ldebug_\@
.Ldebug_\@:
    .long .Ldebug_common
    .quad \start
    .quad \stop - \start
    \rules
    .balign 8
.Ldebug_\@_end:
.endm

.macro all_entries one
    .irp vector, 0,1,2,3,4,5,6,7,9,15,16,18,19,20,22,23,24,25,26,27,28,31,32,33,34,35,36,37,38,39,40,41,42,43,44,45,46,47
    \one kfiber_test_vector_\vector, .Lend_of_vector_\vector, rules_without_error_code
    .endr
    .irp vector, 8,10,11,12,13,14,17,21,29,30
    \one kfiber_test_vector_\vector, .Lend_of_vector_\vector, rules_with_error_code
    .endr
    \one kfiber_test_trap, .Ltrap_end, rules_of_trap
.endm

.pushsection .eh_frame, "a", @unwind
.balign 8
.Leh_common:
    .long .Leh_common_end - .Leh_common_start
.Leh_common_start:
    .long 0
    .byte 1
    .asciz "zRS"                         // augmentation data; encoding of pointers; signal frame
    .uleb128 1
    .sleb128 -8
    .byte 16
    .uleb128 1
    .byte 0x1b                           // relative to their own place, 32 bits
    initial_rules
    .balign 8
.Leh_common_end:
    all_entries eh_frame_entry
.popsection

.pushsection .debug_frame, "", @progbits
.balign 8
.Ldebug_common:
    .long .Ldebug_common_end - .Ldebug_common_start
.Ldebug_common_start:
    .long 0xffffffff
    .byte 1
    .asciz "S"
    .uleb128 1
    .sleb128 -8
    .byte 16
    initial_rules
    .balign 8
.Ldebug_common_end:
    all_entries debug_frame_entry
.popsection
