//! The commands for gdb, which the program's own file carries: `info fibers`, `fiber`, `info locks`.
//!
//! The section `.debug_gdb_scripts` holds texts that gdb runs when it reads a program (gdb manual,
//! "The `.debug_gdb_scripts` section"). The section is not loaded, so it takes no memory. gdb runs
//! such a text only if the folder of the program was declared safe. Otherwise it prints the line
//! that declares it.

/// Puts the script into the object file of the module in which it stands. Some function of that
/// module must be part of every program that has a scheduler, or the linker would leave the object
/// file out.
macro_rules! gdb_script {
    () => {
        core::arch::global_asm!(
            // A symbol without a place in memory. Its name says which arrangement of the control
            // block the script must know.
            ".set kfiber_debugger_layout_1, 1",
            ".pushsection .debug_gdb_scripts, \"\", @progbits",
            ".byte 4", // a text in Python, and not the name of a file
            ".ascii \"kfiber\\n\"",
            concat!(
                ".incbin \"",
                env!("CARGO_MANIFEST_DIR"),
                "/src/debugger/fibers.py\""
            ),
            concat!(
                ".incbin \"",
                env!("CARGO_MANIFEST_DIR"),
                "/src/debugger/commands.py\""
            ),
            concat!(
                ".incbin \"",
                env!("CARGO_MANIFEST_DIR"),
                "/src/debugger/printers.py\""
            ),
            ".byte 0",
            ".popsection",
            options(raw),
        );

        // Cargo learns from these that the object file depends on the texts.
        const _: &[u8] = include_bytes!("../debugger/fibers.py");
        const _: &[u8] = include_bytes!("../debugger/commands.py");
        const _: &[u8] = include_bytes!("../debugger/printers.py");
    };
}

pub(crate) use gdb_script;
