//! The interrupt controller of the first PCs: two Intel 8259A with eight lines each.
//!
//! Every PC has it or something that behaves like it, and starts with it on vectors that belong to
//! the processor's exceptions. A kernel that uses the APICs only calls [`mask_all`]. One that
//! uses this controller calls [`remap`], then [`unmask`] for each line that has a handler, and
//! [`end_of_interrupt`] in each handler. An interrupt that goes away before it is served comes as one
//! of line 7 or 15, whatever its line was, so the vectors of these two need handlers as well.
//!
//! | line | device of a PC |
//! |--:|---|
//! | 0 | the timer: see [`PitTimer`](super::PitTimer) |
//! | 1 | the keyboard |
//! | 2 | the second controller; it is unmasked with any of the lines 8 to 15 |
//! | 3, 4 | the second and the first serial port |
//! | 8 | the clock that keeps the date |
//! | 12 | the mouse |

use super::error::HardwareError;
use x86_64::instructions::interrupts::without_interrupts;
use x86_64::instructions::port::Port;

/// The command and the data port of both controllers.
const PORTS: [[u16; 2]; 2] = [[0x20, 0x21], [0xa0, 0xa1]];
/// The line of the first controller at which the second one is.
const CASCADE: u8 = 2;
/// The number of lines of one controller.
const LINES: u8 = 8;

/// Words of the 8259A's datasheet.
const INITIALIZE: u8 = 0x11;
const MODE_8086: u8 = 1;
const END_OF_INTERRUPT: u8 = 0x20;
const READ_IN_SERVICE: u8 = 0x0b;

fn read(port: u16) -> u8 {
    // SAFETY: a register of the controllers, which has no effect on memory.
    unsafe { Port::new(port).read() }
}

fn write(port: u16, value: u8) {
    // SAFETY: as above; the functions of this module say what the kernel must vouch for.
    unsafe { Port::new(port).write(value) };
}

/// Puts the lines 0 to 15 on the vectors `first_vector` to `first_vector + 15`, and masks all of
/// them.
///
/// # Errors
///
/// Returns [`HardwareError::ReservedVector`] if the vectors are not multiples of 8 above those of
/// the exceptions. Nothing was changed then.
///
/// # Context
///
/// Callable from: boot code, fiber, scheduler. Blocks: nothing.
pub fn remap(first_vector: u8) -> Result<(), HardwareError> {
    if first_vector < 32 || !first_vector.is_multiple_of(LINES) || first_vector > 240 {
        return Err(HardwareError::ReservedVector {
            vector: first_vector,
        });
    }
    without_interrupts(|| {
        for ([command, data], vector, place) in [
            (PORTS[0], first_vector, 1 << CASCADE),
            (PORTS[1], first_vector + LINES, CASCADE),
        ] {
            write(command, INITIALIZE);
            for word in [vector, place, MODE_8086] {
                pause();
                write(data, word);
            }
            pause();
            write(data, 0xff);
        }
    });
    Ok(())
}

/// Gives the controller the time that old ones need between two words, about a microsecond, by a
/// write to a port that only shows progress of the firmware.
fn pause() {
    write(0x80, 0);
}

/// Masks all lines. A kernel that uses the APICs only needs nothing else from here.
///
/// # Context
///
/// Callable from: boot code, fiber, interrupt, scheduler. Blocks: nothing.
pub fn mask_all() {
    without_interrupts(|| {
        for [_, data] in PORTS {
            write(data, 0xff);
        }
    });
}

/// Masks a line, so that it interrupts no more.
///
/// # Panics
///
/// Panics if `line` is above 15.
///
/// # Context
///
/// Callable from: boot code, fiber, interrupt, scheduler. Blocks: nothing.
pub fn mask(line: u8) {
    let ([_, data], bit) = place(line);
    without_interrupts(|| write(data, read(data) | bit));
}

/// Lets a line interrupt from now on.
///
/// # Panics
///
/// Panics if `line` is above 15.
///
/// # Safety
///
/// [`remap`] was called. The line's vector has a handler, which calls [`end_of_interrupt`], and so
/// has the vector of line 7, and for the lines from 8 on that of line 15: see the [module](self).
///
/// # Context
///
/// Callable from: boot code, fiber, interrupt, scheduler. Blocks: nothing.
pub unsafe fn unmask(line: u8) {
    let ([_, data], bit) = place(line);
    without_interrupts(|| {
        write(data, read(data) & !bit);
        if line >= LINES {
            let ([_, data], bit) = place(CASCADE);
            write(data, read(data) & !bit);
        }
    });
}

/// Returns whether a line is masked.
///
/// # Panics
///
/// Panics if `line` is above 15.
///
/// # Context
///
/// Callable from: boot code, fiber, interrupt, scheduler. Blocks: nothing.
#[must_use]
pub fn is_masked(line: u8) -> bool {
    let ([_, data], bit) = place(line);
    read(data) & bit != 0
}

/// Tells the controller that the handler of a line is done. Returns `false` if the interrupt was
/// spurious, which happens on the lines 7 and 15 only. The handler then has nothing to do, and must
/// not look for a device.
///
/// # Panics
///
/// Panics if `line` is above 15.
///
/// # Context
///
/// Callable from: interrupt. Blocks: nothing.
#[expect(
    clippy::must_use_candidate,
    reason = "most lines have no spurious interrupts"
)]
pub fn end_of_interrupt(line: u8) -> bool {
    let ([command, _], bit) = place(line);
    without_interrupts(|| {
        let is_real = bit != 1 << 7 || {
            write(command, READ_IN_SERVICE);
            read(command) & bit != 0
        };
        if is_real {
            write(command, END_OF_INTERRUPT);
        }
        if line >= LINES {
            write(PORTS[0][0], END_OF_INTERRUPT);
        }
        is_real
    })
}

/// Returns the ports of a line's controller, and the line's bit there.
#[track_caller]
fn place(line: u8) -> ([u16; 2], u8) {
    assert!(
        line < 2 * LINES,
        "the PIC has no line {line}: its lines are 0 to 15"
    );
    (PORTS[usize::from(line / LINES)], 1 << (line % LINES))
}
