// PVH note, page tables, and the way from 32-bit protected mode to Rust in long mode. See boot.rs.

// The note: "the 32-bit entry is at this address".
.pushsection .note.pvh, "a", @note
.balign 4
    .long note_name_end - note_name      // size of the name
    .long 8                              // size of the descriptor
    .long 18                             // XEN_ELFNOTE_PHYS32_ENTRY
note_name:
    .asciz "Xen"
note_name_end:
.balign 4
    .quad kfiber_test_pvh_entry
.popsection

// Page tables are data: nothing has to be computed at boot. Present, writable; 0x80 = a page of 2 MiB.
.pushsection .data.kfiber_test_page_tables, "aw", @progbits
.balign 4096
.global kfiber_test_level_4_table
kfiber_test_level_4_table:
    .quad level_3_table + 0x3
    .fill 511, 8, 0
level_3_table:
    .quad level_2_tables + 0x0003, level_2_tables + 0x1003, level_2_tables + 0x2003, level_2_tables + 0x3003
    .fill 508, 8, 0
level_2_tables:
    .quad level_1_table + 0x3
    .set address, 0x200000
    .rept 3 * 512 - 1
    .quad address + 0x83
    .set address, address + 0x200000
    .endr
    .rept 512                            // the last GiB below 4 GiB holds devices: not cached
    .quad address + 0x9b
    .set address, address + 0x200000
    .endr
level_1_table:                           // the first 2 MiB page by page, without page 0
    .quad 0
    .set address, 0x1000
    .rept 511
    .quad address + 0x3
    .set address, address + 0x1000
    .endr
.popsection

.pushsection .rodata.kfiber_test_boot, "a", @progbits
.balign 8
boot_gdt:
    .quad 0
    .quad 0x00af9b000000ffff             // 0x08: 64-bit code
boot_gdt_end:
boot_gdt_pointer:
    .word boot_gdt_end - boot_gdt - 1
    .long boot_gdt
.popsection

// A page that will be unmapped, and above it the stack.
.pushsection .bss.kfiber_test_boot_stack, "aw", @nobits
.balign 4096
.global kfiber_test_boot_stack_bottom
kfiber_test_boot_stack_bottom:
    .skip 4096
    .skip {stack_size}
boot_stack_top:
.popsection

.pushsection .text.kfiber_test_boot, "ax", @progbits
.code32
.global kfiber_test_pvh_entry
.type kfiber_test_pvh_entry, @function
kfiber_test_pvh_entry:                   // ebx = hvm_start_info
    cld
    mov esp, offset boot_stack_top

load_page_tables:
    mov eax, offset kfiber_test_level_4_table
    mov cr3, eax
    mov eax, 0x620                       // CR4: PAE, OSFXSR, OSXMMEXCPT
    mov cr4, eax

allow_long_mode:
    mov ecx, 0xc0000080                  // EFER
    rdmsr
    or eax, 0x900                        // LME, NXE
    wrmsr

enable_paging:
    mov eax, 0x80010023                  // CR0: PG, WP, NE, MP, PE
    mov cr0, eax

enter_long_mode:
    lgdt [boot_gdt_pointer]
    push 0x08
    mov eax, offset kfiber_test_start    // LLVM would push a symbol's address as 16 bits
    push eax
    retf
.size kfiber_test_pvh_entry, . - kfiber_test_pvh_entry

.code64
.global kfiber_test_start
.type kfiber_test_start, @function
kfiber_test_start:                       // the outermost frame: every backtrace ends here
    .cfi_startproc
    .cfi_undefined rip
    .cfi_undefined rbp
    xor eax, eax
    mov ss, eax
    mov ds, eax
    mov es, eax
    mov fs, eax
    mov gs, eax
    lea rsp, [rip + boot_stack_top]      // a multiple of 16, as the ABI wants it at a call
    xor ebp, ebp
    mov edi, ebx
    mov rsi, rsp
    call kfiber_test_rust_entry
    ud2
    .cfi_endproc
.size kfiber_test_start, . - kfiber_test_start
.popsection
