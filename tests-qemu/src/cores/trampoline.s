// Where a further core begins: from real mode to long mode. Copied to a page below 1 MiB; see cores/trampoline.rs.
//
// The core starts with cs = page << 8 and ip = 0, in real mode, with paging and caches off and nothing else set up. It
// goes to long mode directly, as the processor allows: PAE and LME first, then PE and PG at once. It uses the first
// core's page tables, in which this very page is mapped one to one, because the instruction after `mov %eax, %cr0` is
// already fetched through them.
//
// All addresses within the page are written as distances from its beginning, because it runs elsewhere than it is linked.

.pushsection .rodata.kfiber_test_trampoline, "a", @progbits
.balign 16
.global kfiber_test_trampoline
kfiber_test_trampoline:
.code16
    cli
    cld
    movw %cs, %ax
    movw %ax, %ds

    movl $kfiber_test_level_4_table, %eax
    movl %eax, %cr3
    movl $0x620, %eax                    // CR4: PAE, OSFXSR, OSXMMEXCPT, as on the first core
    movl %eax, %cr4
    movl $0xc0000080, %ecx               // EFER
    rdmsr
    orl $0x900, %eax                     // LME, NXE
    wrmsr
    lgdtl trampoline_gdt_pointer - kfiber_test_trampoline
    movl $0x80010023, %eax               // CR0: PG, WP, NE, MP, PE; and the caches on
    movl %eax, %cr0
    ljmpl $8, ${page} + trampoline_long_mode - kfiber_test_trampoline

.code64
trampoline_long_mode:
    xorl %eax, %eax
    movl %eax, %ss
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %fs
    movl %eax, %gs
    movq trampoline_stack(%rip), %rsp
    movl $kfiber_test_core_start, %eax   // out of the copy, into the kernel
    jmpq *%rax

.balign 8
trampoline_gdt:
    .quad 0
    .quad 0x00af9b000000ffff             // 0x08: 64-bit code
trampoline_gdt_pointer:
    .word trampoline_gdt_pointer - trampoline_gdt - 1
    .long {page} + trampoline_gdt - kfiber_test_trampoline
.balign 8
.global kfiber_test_trampoline_stack
kfiber_test_trampoline_stack:
trampoline_stack:
    .quad 0                              // top of the stack, written into the copy
.global kfiber_test_trampoline_end
kfiber_test_trampoline_end:
.popsection

.pushsection .text.kfiber_test_boot, "ax", @progbits
.global kfiber_test_core_start
.type kfiber_test_core_start, @function
kfiber_test_core_start:                  // the outermost frame: every backtrace of this core ends here
    .cfi_startproc
    .cfi_undefined rip
    .cfi_undefined rbp
    xorl %ebp, %ebp
    call kfiber_test_core_entry
    ud2
    .cfi_endproc
.size kfiber_test_core_start, . - kfiber_test_core_start
.popsection
