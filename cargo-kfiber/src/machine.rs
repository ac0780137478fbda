//! The virtual machine as a value, and the command line it becomes. Each flag has its reason above it.

pub mod interrupt_log;
pub mod monitor;
pub mod qemu;

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::kernel::elf;
use crate::options::{self, Accelerator, MachineKind};

/// Who is connected to the first serial port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Serial {
    /// The runner, which only listens.
    Captured,
    /// A person at a terminal, who also types, and ends QEMU with Ctrl-A X.
    Terminal,
}

/// What starts the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loader {
    /// QEMU itself, from an ELF file with a PVH note or a header for Multiboot.
    Qemu,
    /// A program that starts QEMU with the kernel, in any way: by GRUB, by Limine, by UEFI firmware. These are its name and its
    /// first words. The kernel's file comes next, and then words for QEMU.
    Program(Vec<String>),
}

/// Memory of every machine whose kernel is content with it.
const USUAL_MEMORY_MIB: u64 = 64;

/// One virtual machine and what it boots.
#[derive(Debug, Clone)]
pub struct Machine {
    /// The QEMU program.
    pub program: PathBuf,
    /// Kind of PC, accelerator and number of processors.
    pub options: options::Machine,
    /// The ELF file to boot.
    pub kernel: PathBuf,
    /// What starts it.
    pub loader: Loader,
    /// The kernel's command line.
    pub command_line: String,
    /// What is asked of a kernel that reads it from QEMU's device `fw_cfg`.
    pub request: Option<String>,
    /// Megabytes of memory: more than usual for a kernel that has more.
    pub memory_mib: u64,
    /// A file that is loaded beside the kernel.
    pub module: Option<PathBuf>,
    /// More words of its command line, separated by spaces, which win over those from here.
    pub words: String,
    /// More words for QEMU, which a project has for all its machines.
    pub more: Vec<String>,
    /// Who is connected to the first serial port.
    pub serial: Serial,
    /// Whether interrupts can arrive between any two instructions, at exactly reproducible ones.
    pub icount: bool,
    /// Where QEMU logs interrupts and resets.
    pub interrupt_log: Option<PathBuf>,
    /// Port of the gdb stub; the machine then waits for gdb before its first instruction.
    pub gdb_port: Option<u16>,
    /// Socket of the gdb stub, which needs no number that somebody else may have taken; it waits likewise.
    pub gdb_socket: Option<PathBuf>,
    /// Socket of QEMU's monitor, which tells where the processors are.
    pub monitor: Option<PathBuf>,
}

impl Machine {
    /// A machine that boots `kernel` with `command_line` and listens to its serial port.
    #[must_use]
    pub fn new(
        program: &Path,
        options: &options::Machine,
        kernel: &Path,
        command_line: String,
    ) -> Self {
        Self {
            program: program.to_owned(),
            options: options.clone(),
            kernel: kernel.to_owned(),
            loader: Loader::Qemu,
            command_line,
            request: None,
            memory_mib: memory_mib(kernel),
            module: None,
            words: String::new(),
            more: Vec::new(),
            serial: Serial::Captured,
            icount: false,
            interrupt_log: None,
            gdb_port: None,
            gdb_socket: None,
            monitor: None,
        }
    }

    /// The command that runs it.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut qemu = match &self.loader {
            Loader::Qemu => self.whole_machine(),
            Loader::Program(words) => self.program_of_the_project(words),
        };
        if self.icount {
            // One instruction takes one tick of virtual time, and time does not wait for the host's clock.
            qemu.args(["-icount", "shift=0,sleep=off"]);
        }
        if let Some(request) = &self.request {
            // A comma in a value is written twice.
            let request = request.replace(',', ",,");
            let item = format!("name={},string={request}", kfiber_test::protocol::REQUEST);
            qemu.args(["-fw_cfg", &item]);
        }
        // What the project needs.
        qemu.args(&self.more);
        // What one test needs, or must not have.
        qemu.args(self.words.split_whitespace());
        if let Some(file) = &self.interrupt_log {
            // Exceptions with their registers, and the reset that a triple fault is.
            qemu.args(["-d", "int,cpu_reset", "-D"]).arg(file);
        }
        if let Some(port) = self.gdb_port {
            // Stopped before the first instruction, until gdb says otherwise; only this machine can connect.
            qemu.args(["-S", "-gdb", &format!("tcp:127.0.0.1:{port}")]);
        }
        if let Some(socket) = &self.gdb_socket {
            let socket = socket.display();
            qemu.args(["-S", "-gdb", &format!("unix:{socket},server=on,wait=off")]);
        }
        qemu
    }

    /// A program that knows the machine, and is told only what differs from the usual.
    fn program_of_the_project(&self, words: &[String]) -> Command {
        use std::os::unix::process::CommandExt as _;
        let (program, first) = words
            .split_first()
            .map_or(("", &[][..]), |(name, rest)| (name, rest));
        let mut command = Command::new(program);
        command.args(first).arg(&self.kernel);
        // Processes that it starts end with it.
        command.process_group(0);
        if self.options.smp > 1 {
            command.arg("-smp").arg(self.options.smp.to_string());
        }
        if self.options.accel == Accelerator::Kvm {
            command.args(["-accel", "kvm"]);
        }
        if let Some(socket) = &self.monitor {
            let socket = format!("unix:{},server=on,wait=off", socket.display());
            command.args(["-monitor", &socket]);
        }
        command
    }

    /// QEMU with all that the machine consists of.
    fn whole_machine(&self) -> Command {
        let mut qemu = Command::new(&self.program);
        // The kind of PC. The accelerator is always named: QEMU's own choice differs between its builds.
        qemu.arg("-machine").arg(self.machine());
        qemu.arg("-accel").arg(match self.options.accel {
            // Several processors run at the same time, each in a thread of the host. QEMU would say so if it could not.
            Accelerator::Tcg if self.options.smp > 1 && !self.icount => "tcg,thread=multi",
            Accelerator::Tcg => "tcg",
            Accelerator::Kvm => "kvm",
        });
        // Room for the stacks of every test; untouched memory costs nothing.
        qemu.arg("-m").arg(format!("{}M", self.memory_mib));
        // As many processors as asked for.
        qemu.arg("-smp").arg(self.options.smp.to_string());
        // No network card, no floppy, no display adapter: they slow the boot down, and nobody asked for them.
        qemu.arg("-nodefaults");
        // A file in the user's home must not change the machine.
        qemu.arg("-no-user-config");
        // No window.
        qemu.args(["-display", "none"]);
        match self.serial {
            // The first serial port is the protocol. A monitor would read from the same place.
            Serial::Captured => match &self.monitor {
                Some(socket) => {
                    let socket = format!("unix:{},server=on,wait=off", socket.display());
                    qemu.args(["-monitor", &socket, "-serial", "stdio"])
                }
                None => qemu.args(["-monitor", "none", "-serial", "stdio"]),
            },
            // The keys that begin with Ctrl-A go to QEMU, all others to the guest.
            Serial::Terminal => qemu.args(["-serial", "mon:stdio"]),
        };
        // A triple fault ends the machine instead of booting it again, for ever.
        qemu.arg("-no-reboot");
        // The guest ends by writing to this port; the status of QEMU is then twice the value plus one.
        let port = kfiber_test::protocol::EXIT_PORT;
        qemu.args([
            "-device",
            &format!("isa-debug-exit,iobase={port:#x},iosize=0x04"),
        ]);
        // An ELF file with a PVH note is booted without any firmware of ours.
        qemu.arg("-kernel").arg(&self.kernel);
        // The name of the test and its seed travel here.
        if !self.command_line.is_empty() {
            qemu.arg("-append").arg(&self.command_line);
        }
        if let Some(file) = &self.module {
            // PVH passes it on as a module.
            qemu.arg("-initrd").arg(file);
        }
        qemu
    }

    const fn machine(&self) -> &'static str {
        match self.options.machine {
            MachineKind::Q35 => "q35",
            // Without this switch QEMU may append words of its own to the kernel's command line.
            MachineKind::Microvm => "microvm,auto-kernel-cmdline=off",
            MachineKind::Pc => "pc",
        }
    }
}

/// As much as the kernel has of its own, and as much again as usual. One that cannot be read is QEMU's to complain about.
fn memory_mib(kernel: &Path) -> u64 {
    let own = elf::memory_end(kernel).map_or(0, |end| end >> 20);
    if own < USUAL_MEMORY_MIB / 2 {
        USUAL_MEMORY_MIB
    } else {
        own + USUAL_MEMORY_MIB
    }
}
