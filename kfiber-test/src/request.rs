//! What the runner asks for: an item of QEMU's device `fw_cfg`, which every loader leaves as it is.
//!
//! The device is described in QEMU's `docs/specs/fw_cfg.rst`: one port selects an item, and the other returns its bytes.
//!
//! **Q1** The buffer is written by the first call only, before its length is set, and never again.

use core::arch::asm;
use core::slice;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};

use crate::protocol::{REQUEST, ROUNDS_KEY, SEED_KEY};
use crate::words;

const SELECTOR_PORT: u16 = 0x510;
const DATA_PORT: u16 = 0x511;
/// Its item is the word `QEMU`.
const SIGNATURE: u16 = 0;
/// Its item is a list of the others: their number, and then what [`Entry`] says of each.
const DIRECTORY: u16 = 0x19;
/// Length of a name in the directory, with the zero at its end.
const NAME_BYTES: usize = 56;

static WORDS: [AtomicU8; 1024] = [const { AtomicU8::new(0) }; 1024];
static LENGTH: AtomicUsize = AtomicUsize::new(0);
static IS_READ: AtomicBool = AtomicBool::new(false);

/// Returns the words of the runner, or `None` if nobody asked for a test.
///
/// # Context
///
/// The first call needs I/O privilege, and no other core may make it at the same time.
///
/// # Panics
///
/// Panics if the words have more than 1024 bytes.
#[must_use]
pub fn words() -> Option<&'static str> {
    if !IS_READ.swap(true, Ordering::AcqRel)
        && let Some(bytes) = find(REQUEST)
    {
        assert!(bytes <= WORDS.len(), "the name of a test is too long");
        for byte in &WORDS[..bytes] {
            byte.store(next(), Ordering::Relaxed);
        }
        LENGTH.store(bytes, Ordering::Release);
    }
    let length = LENGTH.load(Ordering::Acquire);
    // SAFETY: The bytes are initialised, and by Q1 nobody writes to them any more.
    let bytes = unsafe { slice::from_raw_parts(WORDS.as_ptr().cast::<u8>(), length) };
    str::from_utf8(bytes).ok().filter(|words| !words.is_empty())
}

/// Returns what follows `key` in the first word of the runner that begins with it.
#[must_use]
pub fn value(key: &str) -> Option<&'static str> {
    words::value(words()?, key)
}

/// Returns the seed for everything random in this run, 1 if none was given.
#[must_use]
pub fn seed() -> u64 {
    words()
        .and_then(|all| words::number(all, SEED_KEY))
        .unwrap_or(1)
}

/// Returns how often a looping test is to go round, or the number that it does without being asked.
#[must_use]
pub fn rounds(default: u64) -> u64 {
    words()
        .and_then(|all| words::number(all, ROUNDS_KEY))
        .unwrap_or(default)
}

/// Selects the item of this name, and returns its length in bytes.
fn find(name: &str) -> Option<usize> {
    select(SIGNATURE);
    if take::<4>() != *b"QEMU" {
        return None;
    }
    select(DIRECTORY);
    let count = u32::from_be_bytes(take());
    for _ in 0..count {
        let bytes = u32::from_be_bytes(take());
        let item = u16::from_be_bytes(take());
        let _reserved: [u8; 2] = take();
        let own: [u8; NAME_BYTES] = take();
        let own = own.split(|byte| *byte == 0).next().unwrap_or(&[]);
        if own == name.as_bytes() {
            select(item);
            return usize::try_from(bytes).ok();
        }
    }
    None
}

fn select(item: u16) {
    // SAFETY: On QEMU's machines the port only selects an item; on others nothing is there.
    unsafe {
        asm!("out dx, ax", in("dx") SELECTOR_PORT, in("ax") item, options(nomem, nostack, preserves_flags));
    }
}

fn take<const N: usize>() -> [u8; N] {
    core::array::from_fn(|_| next())
}

/// Returns the next byte of the item that is selected.
fn next() -> u8 {
    let byte: u8;
    // SAFETY: On QEMU's machines the port only returns the next byte; on others nothing is there.
    unsafe {
        asm!("in al, dx", in("dx") DATA_PORT, out("al") byte, options(nomem, nostack, preserves_flags));
    }
    byte
}
