//! The console: bytes come by interrupt into a channel, and a fiber reads lines from it.

use core::time::Duration;
use kfiber::sync::Channel;
use tests_qemu::{print, println, serial_input};

/// What was typed and not read yet. What does not fit is lost, as on any keyboard.
static KEYS: Channel<u8, 64> = Channel::new();

/// The longest line.
const LONGEST: usize = 80;

const BACKSPACE: u8 = 8;
const DELETE: u8 = 127;
const CTRL_C: u8 = 3;

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

/// Waits for a line, and shows what is typed on the way.
pub(crate) fn read_line() -> Line {
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
                return line;
            }
            CTRL_C => {
                println!("^C");
                line.length = 0;
                return line;
            }
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

/// Waits for a key, but no longer than this. Returns whether one came.
pub(crate) fn wait_for_key(longest: Duration) -> bool {
    KEYS.recv_timeout(longest).is_ok()
}
