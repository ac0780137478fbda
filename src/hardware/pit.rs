//! The programmable interval timer of the PC, an Intel 8254: its registers, and channel 2 as a
//! counter.

use super::error::HardwareError;
use super::measure::{Counter, KnownCounter, Sample, Wraps};
use super::scale::Scale;
use x86_64::instructions::port::Port;

/// The frequency of the PIT on every PC: a third of the NTSC colour carrier, times one, 14.31818 MHz
/// over 12.
pub(super) const HZ: u64 = 1_193_182;

const CHANNEL_0: u16 = 0x40;
const CHANNEL_2: u16 = 0x42;
const COMMAND: u16 = 0x43;
/// System control port B: the gate of channel 2, its way to the speaker, and its output.
const CONTROL_B: u16 = 0x61;

/// Bits of the command: low and high byte of the count, then the mode.
const BOTH_BYTES: u8 = 0b11 << 4;
const INTERRUPT_ON_TERMINAL_COUNT: u8 = 0 << 1;
const RATE_GENERATOR: u8 = 2 << 1;
const SELECT_CHANNEL_2: u8 = 2 << 6;

const GATE: u8 = 1 << 0;
const SPEAKER: u8 = 1 << 1;
const OUTPUT: u8 = 1 << 5;

fn read(port: u16) -> u8 {
    // SAFETY: a register of the PIT or of its gate; whoever made the value that calls this vouched for them.
    unsafe { Port::new(port).read() }
}

fn write(port: u16, value: u8) {
    // SAFETY: as above.
    unsafe { Port::new(port).write(value) };
}

fn write_count(port: u16, count: u16) {
    let [low, high] = count.to_le_bytes();
    write(port, low);
    write(port, high);
}

/// Has channel 0 interrupt every `count` ticks. A count of 0 is 65,536.
///
/// # Safety
///
/// Nobody else uses channel 0, and no interrupt handler uses the PIT during the call.
pub(super) unsafe fn tick_every(count: u16) {
    write(COMMAND, BOTH_BYTES | RATE_GENERATOR);
    write_count(CHANNEL_0, count);
}

/// Has channel 0 interrupt once, one tick after it has counted down from `count`, or not at all.
/// This replaces what it was to do before.
///
/// # Safety
///
/// The requirements are those of [`tick_every`].
pub(super) unsafe fn interrupt_after(count: Option<u16>) {
    // The output goes low, and stays so without a count (Intel 8254, mode 0).
    write(COMMAND, BOTH_BYTES | INTERRUPT_ON_TERMINAL_COUNT);
    if let Some(count) = count {
        write_count(CHANNEL_0, count);
    }
}

/// Returns the count for a delay in nanoseconds, or the largest count for a longer delay.
pub(super) fn count_for(delay: u64) -> u16 {
    const SCALE: Scale = Scale::from_hz(HZ);
    // A count of 0 would be 65,536, which is 55 ms.
    u16::try_from(SCALE.ticks_for(delay).max(1)).unwrap_or(u16::MAX)
}

/// Channel 2 as a counter. Its gate gets its former state when this is dropped.
pub(super) struct SpeakerChannel {
    control: u8,
}

impl SpeakerChannel {
    /// Borrows the channel.
    ///
    /// # Safety
    ///
    /// Nobody else uses channel 2 of the PIT or port 0x61 while this lives.
    pub(super) unsafe fn borrow() -> Self {
        Self {
            control: read(CONTROL_B),
        }
    }
}

impl Drop for SpeakerChannel {
    fn drop(&mut self) {
        write(CONTROL_B, self.control);
    }
}

impl Counter for SpeakerChannel {
    const BITS: u32 = 16;

    fn stands_still(&self) -> HardwareError {
        HardwareError::PitDoesNotTick
    }

    /// Counts down from the largest count, for 54.9 ms. The output goes high when it is at zero.
    fn begin(&self) {
        write(CONTROL_B, (self.control & !SPEAKER) | GATE);
        write(
            COMMAND,
            SELECT_CHANNEL_2 | BOTH_BYTES | INTERRUPT_ON_TERMINAL_COUNT,
        );
        write_count(CHANNEL_2, u16::MAX);
    }

    fn sample(&self) -> Sample {
        // The command latches the count; only that has to be done at a known time.
        let mut sample = Sample::take(|| {
            write(COMMAND, SELECT_CHANNEL_2);
            0
        });
        let count = u16::from_le_bytes([read(CHANNEL_2), read(CHANNEL_2)]);
        sample.count = u64::from(u16::MAX - count);
        sample
    }

    /// It counts on from the largest count when it was at zero (Intel 8254, mode 0).
    fn wraps(&self) -> Wraps {
        if read(CONTROL_B) & OUTPUT == 0 {
            Wraps::No
        } else {
            Wraps::Some
        }
    }
}

impl KnownCounter for SpeakerChannel {
    fn hz(&self) -> u64 {
        HZ
    }
}
