//! Linker scripts as kernels usually have them.

pub(crate) const PLAIN: &str = "
ENTRY(_start)
SECTIONS
{
    . = 1M;
    kernel_start = .;
    .text : { *(.text .text.*) }
    .rodata : { *(.rodata .rodata.*) }
    .data : { *(.data .data.*) }
    .bss : { *(.bss .bss.*) *(COMMON) }
    kernel_end = .;
}
";

pub(crate) const WITH_PHDRS: &str = "
ENTRY(_start)
PHDRS { text PT_LOAD FLAGS(5); data PT_LOAD FLAGS(6); }
SECTIONS
{
    . = 1M;
    kernel_start = .;
    .text : { *(.text .text.*) } :text
    .rodata : { *(.rodata .rodata.*) } :text
    . = ALIGN(4K);
    .data : { *(.data .data.*) } :data
    .bss : { *(.bss .bss.*) *(COMMON) } :data
    kernel_end = .;
}
";

pub(crate) const CLEARS_BSS: &str = "
ENTRY(_start)
SECTIONS
{
    . = 1M;
    kernel_start = .;
    .text : { *(.text .text.*) }
    .rodata : { *(.rodata .rodata.*) }
    .data : { *(.data .data.*) }
    __bss_start = .;
    same = .;
    .bss : { *(.bss .bss.*) *(COMMON) }
    __bss_end = .;
    kernel_end = .;
}
";

pub(crate) const CLEARS_INSIDE_OF_BSS: &str = "
ENTRY(_start)
SECTIONS
{
    . = 1M;
    kernel_start = .;
    .text : { *(.text .text.*) }
    .rodata : { *(.rodata .rodata.*) }
    .data : { *(.data .data.*) }
    .bss : { NAME = .; *(.bss .bss.*) *(COMMON) __bss_end = .; }
    kernel_end = .;
}
";

pub(crate) const HIGHER_HALF: &str = "
ENTRY(_start)
BASE = 0xffffffff80000000;
SECTIONS
{
    . = BASE + 1M;
    kernel_start = .;
    .text : AT(ADDR(.text) - BASE) { *(.text .text.*) }
    .rodata : AT(ADDR(.rodata) - BASE) { *(.rodata .rodata.*) }
    .data ALIGN(4K) : AT(ADDR(.data) - BASE) { *(.data .data.*) }
    .bss ALIGN(4K) : AT(ADDR(.bss) - BASE) { *(.bss .bss.*) *(COMMON) }
    kernel_end = .;
}
";

pub(crate) const INDEPENDENT_OF_POSITION: &str = "
ENTRY(_start)
SECTIONS
{
    . = SIZEOF_HEADERS;
    kernel_start = .;
    .text : { *(.text .text.*) }
    .rodata : { *(.rodata .rodata.*) }
    . = ALIGN(4K);
    .data : { *(.data .data.*) }
    .bss : { *(.bss .bss.*) *(COMMON) }
    kernel_end = .;
}
";
