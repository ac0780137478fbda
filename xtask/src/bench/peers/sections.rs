//! The sections of the document that are not about switches alone: what schedulers do, two cores, single instructions,
//! very many sleepers.

use std::fmt::Write as _;

use super::names::{
    INSTRUCTIONS, OF_CORES, OF_LOCK, OF_SLEEPERS, ON_ONE_CORE, ON_TWO_CORES, OPERATIONS, Shape,
};
use super::rounded::short;
use super::samples::Samples;

const ON_ONE: &str = "
## What schedulers do, on one core

Nanoseconds of one operation, and in brackets how many times as long as kfiber's it takes, in the same repetition. kfiber is
the build without the feature `smp`, with all its checks. tokio runs two tasks in its runtime for one thread. `may` has one
worker thread, and each wait there goes through its queue. Threads park and unpark each other, and channels of threads let
them park. All are kept on one core. The mutex of threads is that of `std`.
";

const ON_TWO: &str = "
## Two cores

Nanoseconds of one operation: the median over the repetitions, and of these the median over all processes. Each core of
kfiber is a thread that is kept on one core of the machine and plays a core of the platform `Host`, with the feature `smp`;
its fibers are pinned where a word goes from core to core, and anywhere else go where the scheduler puts them. The work of
one core is that of a build without `smp`. The work is a chain of multiplications, so two threads show what the machine
itself gives.

How those who wait do so decides what a word between cores costs. A core of kfiber that has nothing to do looks several
hundred times whether another one has something for it, for about ten microseconds, and then its thread sleeps in the system.
`crossbeam` also looks for a while. Threads that park, tokio and `flume` sleep at once. *Threads that look* look ten
thousand times at the word itself, and do nothing else. tokio with two workers keeps both tasks of a ping-pong on one worker,
so that nothing goes from core to core; with a runtime on each core it does. *Asleep*: each side computes for 50 µs before it
answers, so that everybody's other side sleeps in the system. What they compute is taken off.
";

const LOCK: &str = "
## The prefix `lock`

Nanoseconds and cycles of one instruction that changes a word in memory, eight words in turn, each in its own cache line,
which this core has. On one core an interrupt cannot split an instruction, so the prefix is needed only for other cores.
";

const SLEEPERS: &str = "
## A hundred thousand sleepers

A tick is an interrupt of the timer, a yield, and everything that then runs until the fiber that yielded goes on.
";

/// All of them.
pub(super) fn text(samples: &Samples) -> String {
    let mut text = String::from(ON_ONE);
    text += &table(&OPERATIONS, &ON_ONE_CORE, |of| {
        let time = short(samples.nanoseconds(of)?.median);
        let ratio = samples.ratio(of, ("kfiber", of.1))?.median;
        Some(match of.0 {
            "kfiber" => time,
            _ => format!("{time} ({})", short(ratio)),
        })
    });
    text += ON_TWO;
    text += &table(&OF_CORES, &ON_TWO_CORES, |of| {
        Some(short(samples.nanoseconds(of)?.median))
    });
    text += LOCK;
    text += &table(&OF_LOCK, &INSTRUCTIONS, |of| {
        let (time, cycles) = (samples.nanoseconds(of)?, samples.cycles(of)?);
        Some(format!("{} / {:.1}", short(time.median), cycles.median))
    });
    text += SLEEPERS;
    text += &sleepers(samples);
    text
}

fn sleepers(samples: &Samples) -> String {
    let mut text = String::from("\n| | |\n|---|---:|\n");
    for shape in &OF_SLEEPERS {
        if let Some(time) = samples.nanoseconds(("kfiber", shape.key)) {
            let _ = writeln!(text, "| {} | {} ns |", shape.title, short(time.median));
        }
    }
    for (what, title) in [
        ("control_block", "control block of a fiber"),
        (
            "sleeper_stack",
            "most that a fiber that sleeps uses of its stack, on this host",
        ),
    ] {
        if let Some(bytes) = samples.bytes(what) {
            let _ = writeln!(text, "| {title} | {bytes} bytes |");
        }
    }
    text
}

/// A row for each shape, a column for each contender; rows and columns without a figure are left out.
pub(super) fn table(
    shapes: &[Shape],
    contenders: &[(&str, &str)],
    cell: impl Fn((&str, &str)) -> Option<String>,
) -> String {
    let has_figure = |key: &str| shapes.iter().any(|shape| cell((key, shape.key)).is_some());
    let columns: Vec<_> = contenders
        .iter()
        .filter(|(key, _)| has_figure(key))
        .collect();
    let mut text = String::from("\n| |");
    for (_, title) in &columns {
        let _ = write!(text, " {title} |");
    }
    let _ = write!(text, "\n|---|{}\n", "---:|".repeat(columns.len()));
    for shape in shapes {
        let cells: Vec<_> = columns
            .iter()
            .map(|(key, _)| cell((key, shape.key)))
            .collect();
        if cells.iter().all(Option::is_none) {
            continue;
        }
        let _ = write!(text, "| {} |", shape.title);
        for cell in cells {
            let _ = write!(text, " {} |", cell.unwrap_or_default());
        }
        text.push('\n');
    }
    text
}
