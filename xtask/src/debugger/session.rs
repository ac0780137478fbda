//! Runs gdb over a kernel in QEMU, over a core dump of it, and over the same program on this machine.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use object::LittleEndian;
use object::elf::FileHeader64;
use object::read::elf::FileHeader as _;

use super::live;
use crate::workspace;

/// Boots the kernel, gives the commands of the session, and writes a core dump at the first stop.
pub(super) fn of_kernel(kernel: &Path, core: &Path) -> Result<String> {
    live::with_kernel(kernel, 1, |socket| {
        let mut gdb = gdb(kernel);
        gdb.arg("-ex")
            .arg(format!("target remote {}", socket.display()));
        gdb.env("KFIBER_CORE_DUMP", core);
        output_of(gdb.arg("-x").arg(commands("kernel.gdb")))
    })
}

/// Boots the kernel on four cores, and gives the commands of that session.
pub(super) fn of_four_cores(kernel: &Path) -> Result<String> {
    live::with_kernel(kernel, 4, |socket| {
        let mut gdb = gdb(kernel);
        gdb.arg("-ex")
            .arg(format!("target remote {}", socket.display()));
        output_of(gdb.arg("-x").arg(commands("four-cores.gdb")))
    })
}

/// Looks into the core dump of a kernel.
pub(super) fn of_core_dump(kernel: &Path, core: &Path) -> Result<String> {
    if !core.exists() {
        bail!("QEMU wrote no core dump to {}", core.display());
    }
    make_canonical(core)?;
    output_of(
        gdb(kernel)
            .arg("-core")
            .arg(core)
            .arg("-x")
            .arg(commands("core-dump.gdb")),
    )
}

/// Corrects the addresses of a core dump. QEMU sets their upper 16 bits for all memory, also for that in the lower half of
/// the address space (`target/i386/arch_memory_mapping.c`, at least up to QEMU 7.2).
fn make_canonical(core: &Path) -> Result<()> {
    let mut file = fs::read(core)?;
    let elf = FileHeader64::<LittleEndian>::parse(&*file)?;
    let headers = elf.e_phoff.get(LittleEndian);
    let (size, count) = (
        elf.e_phentsize.get(LittleEndian),
        elf.e_phnum.get(LittleEndian),
    );
    for index in 0..u64::from(count) {
        // `p_vaddr` is behind the type, the flags and the offset (System V ABI, "Program Header").
        let at = usize::try_from(headers + index * u64::from(size) + 16)?;
        let field = file
            .get_mut(at..at + 8)
            .context("a core dump that is cut off")?;
        let address = u64::from_le_bytes((&*field).try_into()?);
        if address >> 47 & 1 == 0 {
            field.copy_from_slice(&(address & ((1 << 48) - 1)).to_le_bytes());
        }
    }
    // QEMU's file can only be read.
    fs::remove_file(core)?;
    Ok(fs::write(core, file)?)
}

/// Runs the program on this machine.
pub(super) fn of_program(program: &Path) -> Result<String> {
    output_of(gdb(program).arg("-x").arg(commands("host.gdb")))
}

/// gdb with a program, without any file of the user's, and with permission to run the script in the program's file.
pub(super) fn gdb(program: &Path) -> Command {
    let mut gdb = Command::new("gdb");
    let safe = program.parent().unwrap_or(program).display();
    gdb.args(["-nx", "-batch", "-iex"])
        .arg(format!("add-auto-load-safe-path {safe}"));
    // The width of the terminal, questions, colours, and pages would differ.
    for setting in ["width 0", "height 0", "confirm off", "style enabled off"] {
        gdb.arg("-iex").arg(format!("set {setting}"));
    }
    gdb.arg(program);
    gdb.arg("-x").arg(commands("ask.py"));
    gdb.stdin(Stdio::null());
    gdb
}

pub(super) fn commands(name: &str) -> std::path::PathBuf {
    workspace::root().join(format!("xtask/src/debugger/{name}"))
}

pub(super) fn output_of(gdb: &mut Command) -> Result<String> {
    let output = gdb.output().context("cannot start gdb")?;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    // A command that ends a session, or an error in the script, is an answer as well.
    let errors = String::from_utf8_lossy(&output.stderr);
    let errors = errors
        .lines()
        .filter(|line| line.contains("Error") || line.contains("Python"));
    text.extend(errors.flat_map(|line| [line, "\n"]));
    Ok(text)
}
