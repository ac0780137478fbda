//! What the race looks like: one line of bars for each racer, drawn over the last ones on a terminal.

use crate::console;
use crate::sorts::{COUNT, Row};
use core::fmt;
use core::time::Duration;
use tests_qemu::{print, println};

/// One racer as it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lane {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its numbers after the last step.
    pub(crate) row: Row,
    /// How often it was resumed.
    pub(crate) steps: u32,
    /// Which one it was to finish, from 1 on.
    pub(crate) place: Option<usize>,
}

impl Lane {
    /// A racer at the start.
    pub(crate) const fn new(name: &'static str, row: Row) -> Self {
        Self {
            name,
            row,
            steps: 0,
            place: None,
        }
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        write!(f, "  {:<18} ", self.name)?;
        for number in self.row {
            write!(f, "{}", BARS[usize::from(number) * BARS.len() / COUNT])?;
        }
        write!(f, " {:>5} steps", self.steps)?;
        match self.place {
            Some(1) => write!(f, "  first"),
            Some(place) => write!(f, "  {place}."),
            None => Ok(()),
        }
    }
}

/// Draws all lanes, over those drawn before if `again`.
pub(crate) fn draw(lanes: &[Lane], again: bool) {
    if again {
        print!("\x1b[{}A", lanes.len() + 1); // cursor up
    }
    for lane in lanes {
        println!("{lane}");
    }
    println!();
}

/// Waits for the next of some sixty frames a second, while other fibers run. Returns whether Ctrl-C was pressed.
pub(crate) fn wait_for_next_frame() -> bool {
    console::wait_for_ctrl_c(Duration::from_millis(16))
}
