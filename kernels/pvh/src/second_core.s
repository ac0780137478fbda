// Where the second core begins: copied to a page below 1 MiB, it goes from real mode to long mode.

.pushsection .rodata.second_core, "a", @progbits
.global second_core_begin, second_core_end
second_core_begin:
.code16
    cli
    movw %cs, %ax
    movw %ax, %ds
    movl $level_4_table, %eax
    movl %eax, %cr3
    movl $0x20, %eax                     // CR4: PAE
    movl %eax, %cr4
    movl $0xc0000080, %ecx               // EFER: LME, NXE
    rdmsr
    orl $0x900, %eax
    wrmsr
    lgdtl second_core_gdt_pointer - second_core_begin
    movl $0x80010023, %eax               // CR0: PG, WP, NE, MP, PE
    movl %eax, %cr0
    ljmpl $8, $second_core64             // out of the copy, into the kernel
second_core_gdt_pointer:
    .word 15
    .long boot_gdt
second_core_end:
.popsection

.pushsection .bss.second_core_stack, "aw", @nobits
.balign 16
    .skip 64 * 1024
second_core_stack_top:
.global second_core_entry
second_core_entry:
    .skip 8
.popsection

.pushsection .text.second_core, "ax", @progbits
.code64
second_core64:                           // the outermost frame: every backtrace of this core ends here
    .cfi_startproc
    .cfi_undefined rip
    xorl %eax, %eax
    movl %eax, %ss
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %fs
    movl %eax, %gs
    xorl %ebp, %ebp
    leaq second_core_stack_top(%rip), %rsp
    callq *second_core_entry(%rip)
    ud2
    .cfi_endproc
.popsection
