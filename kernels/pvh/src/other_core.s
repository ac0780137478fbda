// Where each of the other cores begins: from real mode to long mode, on a stack of its own.
//
// The start sends a core to the first byte of a page below 1 MiB, in real mode, with cs = page << 8, ip = 0, and
// paging off. So the first part below is copied to such a page. It must not refer to itself by linked addresses, but
// may refer to the kernel's data and code below 4 GiB, which is not copied. The page must be mapped one to one and
// executable, because the instruction after the one that turns paging on is fetched through the page tables.
//
// All cores run this at the same time, and write nothing but `last_number`. On a real machine each core should also
// take over the memory types (MTRRs) and the microcode of the first one; QEMU's cores do not need that.

.pushsection .rodata.other_core, "a", @progbits
.global other_core_begin, other_core_end
other_core_begin:
.code16
    cli
    movw %cs, %ax
    movw %ax, %ds
    movl $level_4_table, %eax            // the page tables of the first core
    movl %eax, %cr3
    movl $0x20, %eax                     // CR4: PAE
    movl %eax, %cr4
    movl $0xc0000080, %ecx               // EFER: LME, NXE
    rdmsr
    orl $0x900, %eax
    wrmsr
    lgdtl other_core_gdt_pointer - other_core_begin
    movl $0x80010023, %eax               // CR0: PG, WP, NE, MP, PE; and the caches on
    movl %eax, %cr0
    ljmpl $8, $other_core64              // out of the copy, into the kernel
other_core_gdt_pointer:
    .word 15
    .long boot_gdt                       // that of the first core, until the core loads its own
other_core_end:
.popsection

.pushsection .bss.other_core_stacks, "aw", @nobits
.balign 16
other_core_stacks:                       // the first of them belongs to core 1
    .skip {others} * {stack_size}
last_number:                             // the number of the core that came last; the first core has 0
    .skip 4
.popsection

.pushsection .text.other_core, "ax", @progbits
.code64
other_core64:                            // the outermost frame: every backtrace of this core ends here
    .cfi_startproc
    .cfi_undefined rip
    xorl %eax, %eax
    movl %eax, %ss
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %fs
    movl %eax, %gs
    xorl %ebp, %ebp
    movl $1, %edi
    lock xaddl %edi, last_number(%rip)
    incl %edi                            // the number of this core
    cmpl ${others}, %edi
    ja 2f
    imulq ${stack_size}, %rdi, %rax
    leaq other_core_stacks(%rip), %rsp
    addq %rax, %rsp                      // the top of its stack
    callq {entry}
    ud2
2:  cli                                  // one core too many
    hlt
    jmp 2b
    .cfi_endproc
.popsection
