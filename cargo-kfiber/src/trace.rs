//! The command `trace`: turns what a kernel's flight recorder exported into a trace for Perfetto, text, numbers or a
//! picture.

pub mod decode;
pub mod perfetto;
pub mod picture;
pub mod statistics;
pub mod text;
pub mod timeline;

#[cfg(test)]
mod tests;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use clap::Args;

use timeline::Timeline;

/// The options of the command.
#[derive(Debug, Args)]
#[command(after_help = "\
IN is the log of a serial port, in which the lines of the export may be among others, or the bytes that the kernel has \
exported. Open the trace at https://ui.perfetto.dev.")]
pub struct Options {
    /// What the kernel exported
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// Write a trace for Perfetto to FILE
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write a picture of the trace to FILE, as SVG
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
    /// Show only this part of the trace in the picture, in microseconds of the kernel's clock: 1200..1500
    #[arg(long, value_name = "FROM..TO", requires = "picture", value_parser = microseconds)]
    part: Option<(u64, u64)>,
    /// Print each event as a line
    #[arg(long)]
    text: bool,
    /// Print for each fiber how long it ran and waited, and how soon it ran after it was woken
    #[arg(long)]
    stats: bool,
}

fn microseconds(text: &str) -> Result<(u64, u64), String> {
    let (from, to) = text
        .split_once("..")
        .ok_or("two numbers with `..` between")?;
    let number = |text: &str| text.parse::<u64>().map_err(|error| error.to_string());
    let (from, to) = (number(from)?, number(to)?);
    if from >= to {
        return Err("it begins before it ends".to_owned());
    }
    Ok((from * 1000, to * 1000))
}

/// Runs the command.
///
/// # Errors
///
/// Returns an error if there is no export in the file, or if it is not whole.
pub fn run(options: &Options) -> Result<()> {
    let bytes = fs::read(&options.input)
        .with_context(|| format!("cannot read {}", options.input.display()))?;
    let export = decode::find(&bytes)?;
    ensure!(
        !export.events.is_empty(),
        "the export has no event: was the recorder started?"
    );
    let timeline = Timeline::new(&export);
    if let Some(file) = &options.output {
        fs::write(file, perfetto::trace(&timeline))
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    if let Some(file) = &options.picture {
        fs::write(file, picture::svg(&timeline, options.part))
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    if options.text {
        print!("{}", text::lines(&export, &timeline));
    }
    if options.stats || (options.output.is_none() && options.picture.is_none() && !options.text) {
        print!("{}", statistics::table(&timeline));
    }
    Ok(())
}
