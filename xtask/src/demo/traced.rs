//! The demo with the flight recorder: `cargo xtask demo --trace FILE`.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;

use anyhow::{Context as _, Result, ensure};
use cargo_kfiber::trace::timeline::Timeline;
use cargo_kfiber::trace::{decode, perfetto, statistics};

use super::play;
use crate::cli::Demo;
use crate::kernel::cargo;
use crate::{console, setup};
use cargo_kfiber::machine::Machine;

/// Word on the kernel's command line that asks for the script for traces, and for an export at the end.
const TRACE: &str = "trace";

/// Shows the demo's script, writes the trace, and prints the times of all fibers.
pub(super) fn verb(options: &Demo, file: &Path) -> Result<()> {
    let echo = |line: &str| {
        print!("{line}");
        // Nobody is left to show it to if this fails, and the kernel runs to its end anyway.
        drop(std::io::stdout().flush());
    };
    let Recorded {
        export, timeline, ..
    } = record(options, &echo)?;
    let is_log = file.extension().is_some_and(|extension| extension == "log");
    let bytes = if is_log {
        export.into_bytes()
    } else {
        perfetto::trace(&timeline)
    };
    fs::write(file, bytes).with_context(|| format!("cannot write {}", file.display()))?;
    print!("\n{}", statistics::table(&timeline));
    let file = file.display();
    console::say(if is_log {
        format!("`cargo kfiber trace {file}` reads it")
    } else {
        format!("open {file} at https://ui.perfetto.dev")
    });
    Ok(())
}

/// Compares the trace with what the demo has counted.
pub(super) fn test(options: &Demo) -> Result<()> {
    let Recorded {
        printed, timeline, ..
    } = record(options, &|_| ())?;
    let compared = compare(&printed, &timeline);
    if compared.is_err() {
        print!("{printed}");
    }
    compared
}

fn compare(printed: &str, timeline: &Timeline) -> Result<()> {
    let lost: u64 = timeline.cores.iter().map(|core| core.lost).sum();
    ensure!(
        lost == 0,
        "{lost} events are lost: the script is too long for the rings"
    );
    let line = printed
        .lines()
        .find(|line| line.contains("numbers came through"));
    let numbers: Vec<usize> = line
        .context("the demo did not print what it has counted")?
        .split(|character: char| !character.is_ascii_digit())
        .filter_map(|word| word.parse().ok())
        .collect();
    let named = |name: &str| timeline.fibers.iter().find(|fiber| fiber.name == name);
    let consumer = named("consumer").context("there is no consumer in the trace")?;
    let marks = consumer
        .instants
        .iter()
        .filter(|mark| mark.name == "number");
    let mut counted = vec![marks.count()];
    for philosopher in ["Aristotle", "Hypatia", "Zhuangzi", "Avicenna", "Gargi"] {
        let fiber =
            named(philosopher).with_context(|| format!("{philosopher} is not in the trace"))?;
        // Not the spans: the last is of a meal that was broken off, if its philosopher was cancelled.
        let eaten = fiber.instants.iter().filter(|mark| mark.name == "eaten");
        counted.push(eaten.count());
    }
    ensure!(
        counted == numbers,
        "the trace says {counted:?}, and the demo has counted {numbers:?}"
    );
    ensure!(
        timeline
            .fibers
            .iter()
            .any(|fiber| fiber.instants.iter().any(|it| it.name == "fails")),
        "the failure of a fiber is not in the trace"
    );
    for fiber in timeline
        .fibers
        .iter()
        .filter(|fiber| !fiber.segments.is_empty())
    {
        let is_gapless = fiber
            .segments
            .windows(2)
            .all(|pair| pair[0].to == pair[1].from);
        ensure!(is_gapless, "there is a gap in what `{}` did", fiber.name);
    }
    Ok(())
}

/// What came of the script.
struct Recorded {
    /// What the demo printed, without the export.
    printed: String,
    /// The lines of the export.
    export: String,
    timeline: Timeline,
}

/// Plays the script.
fn record(options: &Demo, echo: &(dyn Fn(&str) + Sync)) -> Result<Recorded> {
    let program = setup::qemu::ensure()?;
    let kernel = cargo::build_kernel_with_trace("demo", &options.build, options.machine.smp > 1)?;
    let machine = Machine::new(&program, &options.machine, &kernel, TRACE.to_owned());
    let lines = Mutex::new([String::new(), String::new()]);
    let keep = |line: &str| {
        let [printed, export] = &mut *lines.lock().expect("no holder panics");
        if line.contains(decode::PREFIX) {
            export.push_str(line);
        } else {
            echo(line);
            printed.push_str(line);
        }
    };
    play(&machine, options.timeout, &keep)?;
    let [printed, export] = lines.into_inner().expect("no holder panics");
    let timeline = Timeline::new(&decode::find(export.as_bytes())?);
    Ok(Recorded {
        printed,
        export,
        timeline,
    })
}
