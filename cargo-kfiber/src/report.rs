//! The command `report`: says which functions and statics the addresses in a kernel's output are.

mod addresses;

use std::io::{ErrorKind, Read, Write};
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::console;
use crate::input::Input;
use crate::kernel::symbolize::Symbols;
use crate::project::Project;

/// Of a line that does not end, no more than this is looked at.
const LONGEST_LINE: usize = 1 << 16;

/// Say which functions and lines the addresses in a kernel's output are
///
/// Passes the output on as it is. After each line with addresses of the kernel it adds what they are: panics, overflows, deadlocks,
/// faults and backtraces of kfiber, and everything else that has an address in hexadecimal, after `0x`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cargo kfiber report serial.log
  cargo run | cargo kfiber report
  cargo kfiber report --kernel target/x86_64-unknown-none/release/my-kernel serial.log
  cargo kfiber report --at kernel_main=0xffffffff9c201000 serial.log")]
pub struct Options {
    #[command(flatten)]
    input: Input,
    /// The kernel's ELF file [default: that of this package which was built last]
    #[arg(long, value_name = "ELF")]
    kernel: Option<PathBuf>,
    /// How far above the addresses in its file the kernel was loaded, for a kernel that is loaded anywhere
    #[arg(long, value_name = "BYTES", value_parser = number, conflicts_with = "at")]
    slide: Option<u64>,
    /// The same, by the address of one symbol, which the kernel may print when it begins
    #[arg(long, value_name = "SYMBOL=ADDRESS")]
    at: Option<String>,
}

/// Runs the command.
///
/// # Errors
///
/// Fails if the kernel or its output cannot be read, and if `--at` names no symbol of the kernel.
pub fn run(options: &Options) -> Result<()> {
    let project = Project::here();
    let kernel = match (&options.kernel, &project) {
        (Some(kernel), _) => kernel.clone(),
        (None, Ok(project)) => {
            let kernel = project.newest_kernel()?;
            console::say(format!("addresses are those of {}", kernel.display()));
            kernel
        }
        (None, Err(error)) => {
            bail!("no kernel: name its ELF file by --kernel, because {error:#}")
        }
    };
    let root = project.map_or_else(|_| PathBuf::from("/"), |project| project.root);
    let symbols = Symbols::load(&kernel, &root)
        .with_context(|| format!("cannot read {}", kernel.display()))?;
    let mut slide = match (options.slide, &options.at) {
        (Some(slide), _) => Some(slide),
        (None, Some(at)) => Some(slide_of(&symbols, at)?),
        (None, None) => (!symbols.is_position_independent()).then_some(0),
    };
    let mut is_unknown = false;
    pass_on(options.input.open()?, std::io::stdout(), |line| {
        if options.slide.is_none() && options.at.is_none() {
            slide = symbols.slide_said_in(line).or(slide);
        }
        is_unknown |= slide.is_none();
        slide.map_or_else(Vec::new, |slide| addresses::explain(&symbols, slide, line))
    })?;
    if is_unknown && slide.is_none() {
        console::loud(format!(
            "{} may be loaded anywhere, and nothing says where it was: give --at or --slide, or let the kernel print \
             `kfiber: SYMBOL is at ADDRESS` when it begins",
            kernel.display()
        ));
    }
    Ok(())
}

/// Passes bytes on as they come, and adds what `explain` says of each line.
fn pass_on(
    mut from: impl Read,
    mut to: impl Write,
    mut explain: impl FnMut(&str) -> Vec<String>,
) -> Result<()> {
    let mut line = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let length = match from.read(&mut buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        let mut written = Vec::with_capacity(length);
        for &byte in &buffer[..length] {
            written.push(byte);
            if byte == b'\n' {
                for text in explain(&String::from_utf8_lossy(&line)) {
                    writeln!(written, "    {text}")?;
                }
                line.clear();
            } else if line.len() < LONGEST_LINE {
                line.push(byte);
            }
        }
        if length == 0 && !line.is_empty() {
            // The last line has no end.
            for text in explain(&String::from_utf8_lossy(&line)) {
                write!(written, "\n    {text}")?;
            }
            written.extend((!written.is_empty()).then_some(b'\n'));
        }
        let result = to.write_all(&written).and_then(|()| to.flush());
        match result {
            // Nobody reads any more.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            other => other?,
        }
        if length == 0 {
            return Ok(());
        }
    }
}

/// How far above its address in the file a symbol was.
fn slide_of(symbols: &Symbols, at: &str) -> Result<u64> {
    let (name, address) = at.split_once('=').context("--at needs SYMBOL=ADDRESS")?;
    let address = number(address)?;
    let own = symbols.address_of(name);
    let own = own.with_context(|| format!("the kernel has no symbol `{name}`"))?;
    Ok(address.wrapping_sub(own))
}

/// Takes a number, which is hexadecimal after `0x`.
fn number(text: &str) -> Result<u64> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number.with_context(|| format!("`{text}` is not a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time, as a slow serial port does.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let length = self.0.len().min(1);
            buffer[..length].copy_from_slice(&self.0[..length]);
            self.0 = &self.0[length..];
            Ok(length)
        }
    }

    fn passed(bytes: &[u8], explain: impl Fn(&str) -> Vec<String>) -> Vec<u8> {
        let mut to = Vec::new();
        pass_on(Slow(bytes), &mut to, explain).expect("memory does not fail");
        to
    }

    #[test]
    fn what_has_no_address_is_passed_on_to_the_byte() {
        let bytes = b"\x1b[2J\xff\xfe boot\r\n\n> prompt without an end";
        assert_eq!(passed(bytes, |_| Vec::new()), bytes);
    }

    #[test]
    fn what_is_known_of_a_line_comes_after_it() {
        let explain = |line: &str| vec![format!("knows {line:?}")];
        let passed = passed(b"one\ntwo", explain);
        assert_eq!(
            String::from_utf8_lossy(&passed),
            "one\n    knows \"one\"\ntwo\n    knows \"two\"\n"
        );
    }
}
