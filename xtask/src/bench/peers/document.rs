//! The tables as they are committed.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context as _, Result};

use super::aims;
use super::names::{CONTENDERS, REFERENCE, SHAPES};
use super::processor::{FOLDER, Processor};
use super::program::{Build, Effort};
use super::rounded::{ranged, short};
use super::samples::Samples;
use super::sections;

const HEAD: &str = "\
# kfiber beside other switches, on one kind of processor

`cargo xtask bench --peers` measures all of this anew, and says where it differs from the file of the same processor; with
`--update` it writes the file and the picture. How it is measured, what was tried, and why some figures are what they are:
[performance].

![Round trips of kfiber and of others][picture]
";

/// Links stand at the end, so that the documentation can lead them to its chapters instead.
const FOOT: &str = "
[instructions]: ../instructions.md
[performance]: ../performance.md
[picture]: PICTURE
";

const CONTRACT: &str = "
One word goes in with each resume, one comes out with each suspension. The memory of the stacks is allocated before, 4 KiB
each and 64 bytes apart, the same for all but `generator`. The handle lies in memory. `yield_now` is that of the scheduler on
a host, with its priorities and all its checks, `stack-check` among them. Every word that comes back is checked
in every sample, and what each fiber remembers at the end of each process; `cargo run --profile peers --package peers check`
does only that, after it has shown that it notices one lost word.
";

/// The heading of the section that two runs are compared by.
pub(super) const RATIOS_HEADING: &str = "## Relative to corosensei\n";

const RATIOS: &str = "
The time of one operation relative to that of corosensei's round trip with both sides inlined, in the same repetition of the
same process. Median over the repetitions; of these the median over all processes, and in brackets the least and the greatest,
which is what the places of code and stacks do. One operation is a resume and a suspension, but one switch for `yield_now`.
";

const RAW: &str = "
## Nanoseconds and cycles

For orientation: these depend on the machine and on what else it does. Nanoseconds of one operation, and cycles of the core by
a clock that is measured in each repetition.
";

const AIMS: &str = "
## Aims

Limits that were set before; [performance] says where they come from. Where nothing else is said, a figure is relative to
corosensei's round trip with both sides inlined.

| figure | aim | is | |
|---|---:|---:|---|
";

/// What was measured on.
#[derive(Debug)]
pub(super) struct Conditions {
    processor: Processor,
    compiler: String,
    method: String,
}

impl Conditions {
    /// Asks the system.
    pub(super) fn of_this_machine(
        compiler: String,
        effort: &Effort,
        builds: &[Build],
    ) -> Result<Self> {
        let information = fs::read_to_string("/proc/cpuinfo").context("what processor is this?")?;
        let ways: Vec<_> = builds.iter().map(|build| build.what).collect();
        Ok(Self {
            processor: Processor::of(&information),
            compiler,
            method: format!(
                "{} builds ({}), {} processes each, {} repetitions of about {} µs for each figure, on one core, in a new \
                 random order each time; what schedulers do, in {} processes of the first build, {} repetitions of about {} µs",
                builds.len(),
                ways.join("; "),
                effort.processes,
                effort.repetitions,
                effort.microseconds,
                effort.of_schedulers.processes,
                effort.of_schedulers.repetitions,
                effort.of_schedulers.microseconds
            ),
        })
    }
}

/// Everything that is written.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) conditions: Conditions,
    pub(super) contenders: String,
    pub(super) compile_seconds: f64,
    /// Bytes, as they are committed.
    pub(super) smallest_text: Option<String>,
    pub(super) samples: Samples,
}

impl Document {
    /// Where the tables are committed.
    pub(super) fn tables(&self) -> String {
        self.conditions.processor.path() + ".md"
    }

    /// Where the picture of them is committed.
    pub(super) fn picture(&self) -> String {
        self.conditions.processor.path() + ".svg"
    }

    /// The whole file.
    pub(super) fn text(&self) -> String {
        let Conditions {
            processor,
            compiler,
            method,
        } = &self.conditions;
        let clock = self.samples.gigahertz().map_or_else(String::new, |clock| {
            format!(", {:.2} GHz while it was measured", clock.median)
        });
        let picture = self.picture();
        let mut text = format!("{HEAD}\nProcessor: {processor}{clock}\n\nCompiler: {compiler}\n");
        let _ = writeln!(
            text,
            "\nMeasured: {method}. {} samples were taken; {} runs before them were too short to be one, were discarded, and were \
             made again with more laps.\n\n## What is held against what\n",
            self.samples.count(),
            self.samples.discarded()
        );
        let _ = writeln!(text, "{}{CONTRACT}", self.contenders);
        text += RATIOS_HEADING;
        text += RATIOS;
        text += &self.table(|samples, of| {
            let figure = samples.ratio(of, REFERENCE)?;
            Some(ranged(figure))
        });
        text += RAW;
        text += &self.table(|samples, of| {
            let (time, cycles) = (samples.nanoseconds(of)?, samples.cycles(of)?);
            Some(format!("{} / {:.0}", short(time.median), cycles.median))
        });
        text += &sections::text(&self.samples);
        text += AIMS;
        for verdict in aims::verdicts(&self.samples) {
            text += &verdict.row();
        }
        text += "\n## Other costs\n\n| | |\n|---|---:|\n";
        let _ = writeln!(
            text,
            "| building the library and all that it depends on from nothing, for the bare machine, with cargo's release profile | {:.1} s |",
            self.compile_seconds
        );
        if let Some(bytes) = &self.smallest_text {
            let _ = writeln!(
                text,
                "| code of [the smallest kernel with two fibers][instructions], at opt-level z | {bytes} bytes |"
            );
        }
        text + &FOOT.replace("PICTURE", &picture[FOLDER.len() + 1..])
    }

    /// A row for each shape of switches, a column for each contender.
    fn table(&self, cell: impl Fn(&Samples, (&str, &str)) -> Option<String>) -> String {
        let contenders = CONTENDERS.iter().map(|it| (it.key, it.title));
        let contenders: Vec<_> = contenders.collect();
        sections::table(&SHAPES, &contenders, |of| cell(&self.samples, of))
    }
}

/// The size of the smallest kernel, from the committed table of sizes.
pub(super) fn smallest_text(table: &str) -> Option<String> {
    let row = table
        .lines()
        .find(|line| line.starts_with("| `smallest_text_for_size` |"))?;
    row.split('|').nth(3).map(|cell| cell.trim().to_owned())
}
