//! gdb as an editor drives it: commands and records of its machine interface. (gdb manual, chapter "The gdb/mi Interface")

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use anyhow::{Context as _, Result};
use regex::Regex;

static THREAD: LazyLock<Regex> = LazyLock::new(|| {
    let fields = r#"\{id="(\d+)",target-id="([^"]*)",(?:details="([^"]*)",)?(?:name="([^"]*)",)?"#;
    Regex::new(fields).expect("it is one")
});
static FUNCTION: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"func="(debugged::[^"]*)""#).expect("it is one"));
static STOP: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"^\*stopped,(?:reason="([^"]*)",)?.*thread-id="(\d+)""#).expect("it is one")
});

/// The commands that Microsoft's extension for C++ gives, up to the view of all stacks.
const COMMANDS: &str = "\
-break-insert kfiber_debugged_stop
-exec-continue
-thread-info
-stack-list-frames --thread 1
-stack-list-frames --thread 2
-stack-list-frames --thread 3
-stack-list-frames --thread 4
-thread-select 3
-exec-next --thread 3
-thread-info
-interpreter-exec console kill
-gdb-exit
";

/// Gives the commands, and returns what the records say about threads and functions.
pub(super) fn session(kernel: &Path, address: &str) -> Result<String> {
    let mut gdb = Command::new("gdb");
    gdb.args(["-nx", "--interpreter=mi3", "-iex", "set auto-load no"]);
    gdb.args(["-iex", "set confirm off", "-ex"])
        .arg(format!("target remote {address}"));
    let mut gdb = (gdb.arg(kernel))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start gdb")?;
    let mut input = gdb.stdin.take().expect("it is piped");
    input.write_all(COMMANDS.as_bytes())?;
    let output = gdb.wait_with_output()?;
    drop(input);
    Ok(summary(&String::from_utf8_lossy(&output.stdout)))
}

/// The threads, functions and stops in gdb's records.
fn summary(output: &str) -> String {
    let mut text = "=== What gdb's machine interface says\n".to_owned();
    for line in output.lines() {
        if let Some(stop) = STOP.captures(line) {
            let reason = stop.get(1).map_or("none", |reason| reason.as_str());
            text += &format!("stopped: {reason}, thread {}\n", &stop[2]);
        } else if line.starts_with("^done,threads=") {
            for thread in THREAD.captures_iter(line) {
                let group = |index| thread.get(index).map_or("", |group| group.as_str());
                let (id, target) = (group(1), group(2));
                text += &format!("{id}: {target}, {}, {}\n", group(4), group(3));
            }
        } else if line.starts_with("^done,stack=") {
            let functions = FUNCTION
                .captures_iter(line)
                .map(|function| function[1].to_owned());
            text += &format!("stack: {}\n", functions.collect::<Vec<_>>().join(" < "));
        } else if line.starts_with("^error") {
            text += &format!("{line}\n");
        }
    }
    text
}
