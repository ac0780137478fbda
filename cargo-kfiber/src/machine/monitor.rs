//! Asks QEMU's monitor where the processors of a machine are: what a person wants to know of one that hangs.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};

/// What the monitor writes when it waits for a command.
const PROMPT: &str = "(qemu) ";
/// A monitor answers at once, if at all.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where a processor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Processor {
    /// Its number, from 0 on.
    pub number: u32,
    /// The next instruction.
    pub rip: u64,
    /// Whether it waits for an interrupt.
    pub is_halted: bool,
}

/// Stops the machine that listens at this socket, and returns where its processors are.
///
/// # Errors
///
/// Fails if the monitor does not answer.
pub fn processors(socket: &Path) -> Result<Vec<Processor>> {
    let mut monitor = UnixStream::connect(socket)?;
    monitor.set_read_timeout(Some(PATIENCE))?;
    monitor.set_write_timeout(Some(PATIENCE))?;
    answer(&mut monitor)?;
    // While a processor runs, QEMU knows only where it was some time ago.
    monitor.write_all(b"stop\n")?;
    answer(&mut monitor)?;
    monitor.write_all(b"info registers -a\n")?;
    Ok(parse(&answer(&mut monitor)?))
}

/// Reads up to the next prompt.
fn answer(monitor: &mut UnixStream) -> Result<String> {
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    while !text.ends_with(PROMPT.as_bytes()) {
        match monitor.read(&mut buffer)? {
            0 => bail!("QEMU's monitor closed the connection"),
            length => text.extend_from_slice(&buffer[..length]),
        }
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Takes the answer to `info registers -a` apart.
fn parse(text: &str) -> Vec<Processor> {
    let mut found = Vec::new();
    for part in text.split("CPU#").skip(1) {
        let word = |key: &str| {
            part.split_whitespace()
                .find_map(|word| word.strip_prefix(key))
        };
        let number = part.split_whitespace().next().and_then(|n| n.parse().ok());
        // A processor that is not in long mode has EIP.
        let rip = word("RIP=").or_else(|| word("EIP="));
        let rip = rip.and_then(|digits| u64::from_str_radix(digits, 16).ok());
        if let (Some(number), Some(rip)) = (number, rip) {
            found.push(Processor {
                number,
                rip,
                is_halted: word("HLT=") == Some("1"),
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_processor_has_a_place_and_sleeps_or_not() {
        let text = "info registers -a\r\n\r\nCPU#0\r\nRAX=00 RBX=01\r\nRIP=0000000000101234 RFL=00000246 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=1\r\n\
            ES =0000\r\n\r\nCPU#1\r\nEAX=00\r\nEIP=00008004 EFL=00000002 HLT=0\r\n(qemu) ";
        let [first, second] =
            [(0, 0x10_1234, true), (1, 0x8004, false)].map(|(number, rip, is_halted)| Processor {
                number,
                rip,
                is_halted,
            });
        assert_eq!(parse(text), [first, second]);
    }
}
