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

/// Nanoseconds that a philosopher eats at least, less what two clocks may differ.
const WHOLE_MEAL: u64 = 19_900_000;

/// Shows the demo's script, writes the trace, and prints the times of all fibers.
pub(super) fn verb(options: &Demo, file: &Path) -> Result<()> {
    let echo = |line: &str| {
        print!("{line}");
        // Nobody is left to show it to if this fails, and the kernel runs to its end anyway.
        drop(std::io::stdout().flush());
    };
    let (_, timeline) = record(options, &echo)?;
    fs::write(file, perfetto::trace(&timeline))
        .with_context(|| format!("cannot write {}", file.display()))?;
    print!("\n{}", statistics::table(&timeline));
    console::say(format!(
        "open {} at https://ui.perfetto.dev",
        file.display()
    ));
    Ok(())
}

/// Compares the trace with what the demo has counted.
pub(super) fn test(options: &Demo) -> Result<()> {
    let (printed, timeline) = record(options, &|_| ())?;
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
        // The meal of a philosopher who is cancelled is a short one, and is not counted.
        let meals = fiber
            .spans
            .iter()
            .filter(|meal| meal.name == "meal" && meal.to - meal.from >= WHOLE_MEAL);
        counted.push(meals.count());
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

/// Plays the script, and returns what the demo printed, without the export, and the trace.
fn record(options: &Demo, echo: &(dyn Fn(&str) + Sync)) -> Result<(String, Timeline)> {
    let program = setup::qemu::ensure()?;
    let kernel = cargo::build_kernel_with_trace("demo", &options.build, options.machine.smp > 1)?;
    let machine = Machine::new(&program, &options.machine, &kernel, TRACE.to_owned());
    let log = Mutex::new(String::new());
    let keep = |line: &str| {
        if !line.contains(decode::PREFIX) {
            echo(line);
        }
        log.lock().expect("no holder panics").push_str(line);
    };
    play(&machine, options.timeout, &keep)?;
    let log = log.into_inner().expect("no holder panics");
    let export = decode::find(log.as_bytes())?;
    let printed = log.lines().filter(|line| !line.contains(decode::PREFIX));
    let printed = printed.flat_map(|line| [line, "\n"]).collect();
    Ok((printed, Timeline::new(&export)))
}
