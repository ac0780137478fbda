//! What the person at the terminal sees while waiting: a spinner there, plain lines everywhere else.

use std::fmt::Display;
use std::io::{BufRead as _, BufReader, IsTerminal as _, Read};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anstream::eprintln;
use anyhow::{Context as _, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};

pub(crate) use cargo_kfiber::console::{BAD, GOOD, LOUD, error, line};

/// Says what is being done.
pub(crate) fn say(text: impl Display) {
    eprintln!("{GOOD}xtask:{GOOD:#} {text}");
}

/// Says what could not be done, so that nobody takes silence for success.
pub(crate) fn loud(text: impl Display) {
    eprintln!("{LOUD}xtask: {text}{LOUD:#}");
}

/// Runs a command that may take a while: its last line spins on a terminal, all its lines are shown elsewhere.
pub(crate) fn run(what: &str, command: &mut Command) -> Result<()> {
    say(what);
    let spinner = std::io::stderr().is_terminal().then(spinner);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", line(command)))?;
    let error_lines = child.stderr.take().expect("stderr is piped");
    let lines = child.stdout.take().expect("stdout is piped");
    let shown = spinner.clone();
    let drain = thread::spawn(move || follow(error_lines, shown.as_ref()));
    let mut all = follow(lines, spinner.as_ref());
    all += &drain.join().expect("the draining thread does not panic");
    let status = child.wait()?;
    if let Some(spinner) = &spinner {
        spinner.finish_and_clear();
    }
    if !status.success() {
        if spinner.is_some() {
            eprintln!("{all}");
        }
        bail!("{} ended with {status}", line(command));
    }
    Ok(())
}

fn spinner() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {elapsed:>4} {wide_msg}");
    let bar = ProgressBar::new_spinner().with_style(style.expect("the template is well formed"));
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// Steps of something that takes a while, shown on a terminal only.
pub(crate) fn bar(steps: usize, what: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{elapsed:>4} {bar:30} {pos}/{len} {wide_msg}");
    let style = style.expect("the template is well formed");
    let bar = if std::io::stderr().is_terminal() {
        ProgressBar::new(steps as u64)
    } else {
        ProgressBar::hidden()
    };
    bar.with_style(style).with_message(what.to_owned())
}

fn follow(from: impl Read, spinner: Option<&ProgressBar>) -> String {
    let mut all = String::new();
    for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        match spinner {
            Some(spinner) => spinner.set_message(line.trim_end().to_owned()),
            None => eprintln!("  {}", line.trim_end()),
        }
        all += &line;
        all.push('\n');
    }
    all
}
