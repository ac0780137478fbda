//! The console: bytes come by interrupt into a channel, and a fiber reads lines from it.

use core::time::Duration;
use kfiber::scheduler;
use kfiber::sync::Channel;
use tests_qemu::{print, println, serial_input};

/// What was typed and not read yet. What does not fit is lost, as on any keyboard.
static KEYS: Channel<u8, 64> = Channel::new();

/// The longest line.
const LONGEST: usize = 80;

const BACKSPACE: u8 = 8;
const DELETE: u8 = 127;
const CTRL_C: u8 = 3;
const CTRL_D: u8 = 4;

/// Lets the serial port interrupt.
pub(crate) fn init() {
    // In the handler: wait-free, and the fiber that waits for a key is woken.
    serial_input::on_byte(|byte| {
        let _is_lost = KEYS.try_send(byte).is_err();
    });
}

/// A line that was typed.
pub(crate) struct Line {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Line {
    /// What it says; empty if it is no text.
    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.bytes[..self.length]).unwrap_or("")
    }
}

/// Waits for a line, and shows what is typed on the way. Ctrl-C begins anew; Ctrl-D in an empty line is `None`.
pub(crate) fn read_line() -> Option<Line> {
    let mut line = Line {
        bytes: [0; LONGEST],
        length: 0,
    };
    loop {
        match KEYS
            .recv()
            .expect("nobody closes it, and nobody cancels the shell")
        {
            b'\r' | b'\n' => {
                println!();
                return Some(line);
            }
            CTRL_C => {
                println!("^C");
                line.length = 0;
                return Some(line);
            }
            CTRL_D if line.length == 0 => return None,
            BACKSPACE | DELETE if line.length > 0 => {
                line.length -= 1;
                print!("\x08 \x08");
            }
            key @ b' '..=b'~' if line.length < LONGEST => {
                line.bytes[line.length] = key;
                line.length += 1;
                print!("{}", char::from(key));
            }
            _ => {}
        }
    }
}

/// Waits for this long, or until Ctrl-C, and returns whether that came. Other keys are lost meanwhile.
pub(crate) fn wait_for_ctrl_c(longest: Duration) -> bool {
    let nanoseconds = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX);
    let deadline = scheduler::now().saturating_add(nanoseconds);
    loop {
        let left = deadline.saturating_sub(scheduler::now());
        match KEYS.recv_timeout(Duration::from_nanos(left)) {
            Ok(CTRL_C) => {
                println!("^C");
                return true;
            }
            Ok(_other_key) => {}
            Err(_no_key) => return false,
        }
    }
}

/// Waits for a key, but no longer than this. Returns whether one came.
pub(crate) fn wait_for_key(longest: Duration) -> bool {
    KEYS.recv_timeout(longest).is_ok()
}
