//! Judges a run of a whole kernel: all that it has to show must be in what it said, and then it must end by itself.

use anyhow::{Result, bail};
use cargo_kfiber::machine::qemu::End;

/// After this line the kernel waits for keys.
pub(super) const PROMPT: &str = "keyboard: press keys, and q to end";

/// What each kernel says, in this order.
const SAYS: [&[&str]; 4] = [
    &["clock: 1\n", "clock: 2\n", "clock: 3\n"],
    &[PROMPT, "keyboard: 'k'\n", "keyboard: 'q'\n"],
    &[
        "fiber \"careless\"",
        "tester: the fiber panicked at src/kernel.rs:",
        "fiber \"deep\"",
        "stack overflowed\n",
        "noticed by the guard page, before anything was written\n",
        "tester: the fiber overflowed its stack",
    ],
    &[LAST],
];
/// What it says last.
const LAST: &str = "kernel: all fibers have ended\n";
/// The status of QEMU when the machine is switched off.
const SWITCHED_OFF: End = End::Status(0);

/// What the fiber of a core says, which stays there, in each of its rounds.
fn line_of_core(round: u32, core: u32) -> String {
    format!("worker: {round} on core {core}\n")
}

/// What the fiber of a core says last.
pub(super) fn last_of_core(core: u32) -> String {
    line_of_core(2, core)
}

/// An error says what is missing. `workers` is the number of cores that run a fiber of their own.
pub(super) fn of(said: &str, workers: u32, end: End) -> Result<()> {
    // Firmware puts `\r` before each end of a line.
    let said = said.replace('\r', "");
    let workers = (0..workers).map(|core| vec![line_of_core(1, core), last_of_core(core)]);
    let fibers = SAYS.map(|fiber| fiber.iter().map(ToString::to_string).collect());
    for fiber in fibers.into_iter().chain(workers) {
        let mut rest = &*said;
        for words in fiber {
            let Some((_, after)) = rest.split_once(&words) else {
                bail!("it did not say {words:?} after what comes before that:\n{said}");
            };
            rest = after;
        }
    }
    if !said.ends_with(LAST) {
        bail!("it said something after its last line:\n{said}");
    }
    match end {
        SWITCHED_OFF => Ok(()),
        End::Deadline(deadline) => bail!("it did not end within {} s", deadline.as_secs()),
        End::Status(status) => bail!("it ended with status {status}"),
        End::Signal(signal) => bail!("signal {signal} ended it"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const GOOD: &str = "\x1b[2JBdsDxe: starting\r\n\x1b[Hkeyboard: press keys, and q to end
fiber \"careless\" (192f00.1) panicked at src/kernel.rs:84:25: on purpose
tester: the fiber panicked at src/kernel.rs:84:25: on purpose
fiber \"deep\" (19bcc0.1): stack overflowed
  noticed by the guard page, before anything was written
tester: the fiber overflowed its stack at 0x118b77, rsp 0x193d40
keyboard: 'k'
clock: 1
clock: 2
keyboard: 'q'
clock: 3
kernel: all fibers have ended
";

    #[test]
    fn all_that_a_kernel_shows_must_be_there_in_the_order_of_each_fiber() {
        assert!(of(GOOD, 0, SWITCHED_OFF).is_ok());
        for line in GOOD.lines().skip(1).filter(|line| !line.starts_with("  ")) {
            let without = GOOD.replace(&format!("{line}\n"), "");
            assert!(of(&without, 0, SWITCHED_OFF).is_err(), "without {line:?}");
        }
        let swapped = GOOD
            .replace("clock: 1", "clock: 0")
            .replace("clock: 2", "clock: 1");
        assert!(of(&swapped, 0, SWITCHED_OFF).is_err());
    }

    #[test]
    fn each_core_must_show_that_it_runs_fibers() {
        let lines = [0, 2, 1, 3].map(|core| [line_of_core(1, core), last_of_core(core)].concat());
        let four = GOOD.replace("clock: 1\n", &format!("clock: 1\n{}", lines.concat()));
        assert!(of(&four, 4, SWITCHED_OFF).is_ok());
        for line in lines.iter().flat_map(|both| both.lines()) {
            let without = four.replace(&format!("{line}\n"), "");
            assert!(of(&without, 4, SWITCHED_OFF).is_err(), "without {line:?}");
        }
    }

    #[test]
    fn a_kernel_that_says_more_or_ends_otherwise_is_wrong() {
        let more = format!("{GOOD}kernel: something went wrong\n");
        assert!(of(&more, 0, SWITCHED_OFF).is_err());
        assert!(of(GOOD, 0, End::Status(35)).is_err());
        assert!(of(GOOD, 0, End::Signal(9)).is_err());
        assert!(of(GOOD, 0, End::Deadline(Duration::from_secs(1))).is_err());
    }
}
