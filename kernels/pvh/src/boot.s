// From 32-bit protected mode, in which QEMU starts a kernel with a PVH note, to long mode and Rust.
// All memory below 4 GiB is mapped one to one, in pages of 2 MiB.

.pushsection .note.pvh, "a", @note
.balign 4
    .long 4, 8, 18                       // sizes of name and descriptor; the type: a 32-bit entry
    .asciz "Xen"
    .quad boot
.popsection

.pushsection .data.page_tables, "aw", @progbits
.balign 4096
.global level_4_table
level_4_table:
    .quad level_3_table + 0x3            // present, writable
    .fill 511, 8, 0
level_3_table:
    .quad level_2_tables + 0x0003, level_2_tables + 0x1003
    .quad level_2_tables + 0x2003, level_2_tables + 0x3003
    .fill 508, 8, 0
level_2_tables:
    .set address, 0
    .rept 3 * 512
    .quad address + 0x83                 // present, writable, a page of 2 MiB
    .set address, address + 0x200000
    .endr
    .rept 512                            // devices live here: not cached
    .quad address + 0x9b
    .set address, address + 0x200000
    .endr
.popsection

.pushsection .rodata.boot_gdt, "a", @progbits
.balign 8
.global boot_gdt
boot_gdt:
    .quad 0
    .quad 0x00af9b000000ffff             // 0x08: 64-bit code
boot_gdt_pointer:
    .word 15
    .long boot_gdt
.popsection

.pushsection .bss.boot_stack, "aw", @nobits
.balign 16
    .skip 64 * 1024
boot_stack_top:
.popsection

.pushsection .text.boot, "ax", @progbits
.code32
.global boot
boot:
    mov esp, offset boot_stack_top
    mov eax, offset level_4_table
    mov cr3, eax
    mov eax, 0x20                        // CR4: PAE
    mov cr4, eax
    mov ecx, 0xc0000080                  // EFER: LME, NXE
    rdmsr
    or eax, 0x900
    wrmsr
    mov eax, 0x80010023                  // CR0: PG, WP, NE, MP, PE
    mov cr0, eax
    lgdt [boot_gdt_pointer]
    push 0x08
    mov eax, offset boot64
    push eax
    retf
.code64
boot64:                                  // the outermost frame: every backtrace ends here
    .cfi_startproc
    .cfi_undefined rip
    xor eax, eax
    mov ss, eax
    mov ds, eax
    mov es, eax
    mov fs, eax
    mov gs, eax
    xor ebp, ebp
    lea rsp, [rip + boot_stack_top]
    call kernel_main
    ud2
    .cfi_endproc
.popsection
