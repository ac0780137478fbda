//! A person at the demo's terminal, as a test: lines, and the keys Ctrl-C and Ctrl-D.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, bail};
use cargo_kfiber::machine::Machine;
use cargo_kfiber::machine::qemu::{self, End};

const CTRL_C: u8 = 3;
const CTRL_D: u8 = 4;

/// Parts of the lines that the demo prints, in this order, and what is typed after each. A line that does not come ends the
/// test at its deadline. Each line is the effect of the keys before it.
const TALK: &[(&str, &[u8])] = &[
    ("kfiber demo. Type `help`", &[b'a', b'b', CTRL_C]),
    // Ctrl-C has dropped the line. Ctrl-D means nothing in a line that is not empty.
    ("> ab^C", &[b'c', CTRL_D, b'd', CTRL_C]),
    ("> cd^C", b"sleep 1000000\r"),
    // It would sleep for a quarter of an hour.
    ("> sleep 1000000", &[CTRL_C]),
    ("^C", b"top\r"),
    // It would go on for ever.
    ("> top", b""),
    ("(any key ends this)", &[CTRL_C, CTRL_D]),
    ("> exit", b""),
];

/// Has the talk with the machine, whose kernel must end with `success` afterwards.
pub(super) fn test(machine: &Machine, deadline: Duration, success: i32) -> Result<()> {
    let next = AtomicUsize::new(0);
    let typist = |line: &str| -> &'static [u8] {
        match TALK.get(next.load(Ordering::Relaxed)) {
            Some((part, keys)) if line.contains(part) => {
                next.fetch_add(1, Ordering::Relaxed);
                keys
            }
            _ => b"",
        }
    };
    let run = qemu::converse(&mut machine.command(), deadline, &typist)?;
    if let Some((part, _)) = TALK.get(next.into_inner()) {
        print!("{}", String::from_utf8_lossy(&run.serial));
        bail!("somebody typed to the demo, and the line \"{part}\" did not come");
    }
    match run.end {
        End::Status(status) if status == success => Ok(()),
        end => bail!("the demo ended with {end:?} after Ctrl-D, instead of status {success}"),
    }
}
