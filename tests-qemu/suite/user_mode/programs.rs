//! The programs, which run wherever they are copied to.
//!
//! A system call has its number in rax and arguments in rdi and rsi; it changes rax, and `syscall` also rcx and r11. When a
//! program begins, rdi is the number of its process and everything else is 0. Its stack is the end of its data.

use core::arch::global_asm;

macro_rules! programs {
    ($($(#[$attribute:meta])* $name:ident = $($line:literal),+;)*) => {$(
        global_asm!(
            concat!(".pushsection .rodata.kfiber_test_", stringify!($name), ", \"a\", @progbits"),
            concat!(".globl kfiber_test_", stringify!($name), ", kfiber_test_", stringify!($name), "_end"),
            concat!("kfiber_test_", stringify!($name), ":"),
            $($line,)+
            concat!("kfiber_test_", stringify!($name), "_end:"),
            ".popsection",
        );

        $(#[$attribute])*
        pub(super) fn $name() -> &'static [u8] {
            unsafe extern "C" {
                #[link_name = concat!("kfiber_test_", stringify!($name))]
                static START: u8;
                #[link_name = concat!("kfiber_test_", stringify!($name), "_end")]
                static END: u8;
            }
            let start = &raw const START;
            let bytes = &raw const END as usize - start as usize;
            // SAFETY: the assembly puts the program between the two symbols.
            unsafe { core::slice::from_raw_parts(start, bytes) }
        }
    )*};
}

programs! {
    /// Ends at once, with 40 more than its number, by `int 42`.
    exits_by_interrupt = "lea rsi, [rdi + 40]", "mov eax, 0", "int 42", "ud2";
    /// The same by `syscall`.
    exits_by_syscall = "lea rsi, [rdi + 40]", "mov eax, 0", "syscall", "ud2";
    /// Lets others run 50 times, half of them by either way, and ends with the number of rounds in which all that belongs to
    /// it was as it should be.
    keeps_what_is_its_own =
        "mov r12, rdi", // its number
        "xor r13d, r13d", // rounds that were right
        "xor r14d, r14d", // rounds
        "movq xmm7, r12",
        "2:",
        "mov eax, 1",
        "test r14d, 1",
        "jz 3f",
        "syscall",
        "jmp 4f",
        "3:",
        "int 42",
        "4:",
        "inc r14",
        "movabs rax, 0x8000001000", // its data
        "cmp [rax], r12",
        "jne 6f",
        "lea rbx, [r12 + 0x100]",
        "cmp fs:[0], rbx",
        "jne 6f",
        "lea rbx, [r12 + 0x200]",
        "cmp gs:[0], rbx",
        "jne 6f",
        "movq rbx, xmm7",
        "cmp rbx, r12",
        "jne 6f",
        "push r12",
        "pop rcx",
        "cmp [rax + 0xff8], r12", // what it has just pushed, at the end of its data
        "jne 6f",
        "inc r13",
        "6:",
        "cmp r14, 50",
        "jb 2b",
        "mov rsi, r13",
        "mov eax, 0",
        "int 42",
        "ud2";
    /// Waits for an interrupt to write to its data, and ends with what was written and the difference of its GS word.
    spins =
        "movabs rax, 0x8000001008",
        "2:",
        "pause",
        "mov rsi, [rax]",
        "test rsi, rsi",
        "jz 2b",
        "mov rbx, gs:[0]",
        "sub rbx, rdi",
        "add rsi, rbx",
        "mov eax, 0",
        "int 42",
        "ud2";
    /// Reads where nothing is.
    reads_where_nothing_is = "mov rax, 0x10", "mov rax, [rax]", "ud2";
    /// Writes to the kernel's memory, which is mapped but not for it.
    writes_to_the_kernel = "mov eax, 0x100000", "mov [rax], rax", "ud2";
    /// Executes what only the kernel may.
    halts = "hlt", "ud2";
    /// Executes what is no instruction.
    executes_nonsense = "ud2";
    /// Divides by zero, with a stack pointer that is no address of its own, and with the direction flag set.
    divides_by_zero_without_a_stack =
        "mov rsp, -1", "std", "xor ecx, ecx", "mov eax, 1", "xor edx, edx", "div ecx";
    /// Has as its stack pointer an address in the stack of another fiber, which is its number.
    points_into_the_kernel = "mov rsp, rdi", "ud2";
}
