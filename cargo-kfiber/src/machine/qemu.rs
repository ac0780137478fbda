//! Runs one virtual machine: reads all it says, ends it at the deadline, never leaves it behind.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use wait_timeout::ChildExt as _;

use crate::console;

/// What became of a machine.
#[derive(Debug)]
pub struct Run {
    /// Everything the guest wrote to its serial port.
    pub serial: Vec<u8>,
    /// Everything QEMU itself had to say.
    pub stderr: String,
    /// How it ended.
    pub end: End,
    /// Time from start to end.
    pub duration: Duration,
}

/// How a machine ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// QEMU ended by itself with this status.
    Status(i32),
    /// A signal ended QEMU.
    Signal(i32),
    /// The deadline came first.
    Deadline(Duration),
}

/// Is told each line of the guest as it comes.
pub type Listener<'listener> = dyn Fn(&str) + Sync + 'listener;

/// Is told each line of the guest as it comes, and returns what to type then.
pub type Typist<'typist> = dyn Fn(&str) -> &'static [u8] + Sync + 'typist;

/// Runs the machine to its end, or to the deadline if there is one.
///
/// # Errors
///
/// Fails if QEMU cannot be started.
pub fn run(
    command: &mut Command,
    deadline: Option<Duration>,
    listener: &Listener<'_>,
) -> Result<Run> {
    run_and_look(command, deadline, listener, || ())
}

/// As [`run`], and calls `look` at the deadline, while the machine still runs.
///
/// # Errors
///
/// Fails if QEMU cannot be started.
pub fn run_and_look(
    command: &mut Command,
    deadline: Option<Duration>,
    listener: &Listener<'_>,
    look: impl FnOnce(),
) -> Result<Run> {
    let typist = |line: &str| {
        listener(line);
        &[][..]
    };
    run_with_input(command, deadline, Stdio::null(), &typist, look)
}

/// Behaves like [`run`], and types what `typist` returns into the machine's serial port.
///
/// # Errors
///
/// Fails if QEMU cannot be started.
pub fn converse(command: &mut Command, deadline: Duration, typist: &Typist<'_>) -> Result<Run> {
    run_with_input(command, Some(deadline), Stdio::piped(), typist, || ())
}

fn run_with_input(
    command: &mut Command,
    deadline: Option<Duration>,
    input: Stdio,
    typist: &Typist<'_>,
    look: impl FnOnce(),
) -> Result<Run> {
    let start = Instant::now();
    die_with_this_process(command);
    let child = command
        .stdin(input)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", console::line(command)))?;
    let mut child = KillOnDrop(child);
    let mut keyboard = child.0.stdin.take();
    let serial = child.0.stdout.take().expect("stdout is piped");
    let stderr = child.0.stderr.take().expect("stderr is piped");
    // Both pipes are read all the time: a full one would stop QEMU, and the test would look like a hang.
    thread::scope(|scope| {
        let serial = scope.spawn(move || {
            drain(serial, |line| {
                if let Some(keyboard) = &mut keyboard {
                    // A machine that has ended takes no more keys; its status tells the rest.
                    drop(keyboard.write_all(typist(line)));
                } else {
                    let _no_keys = typist(line);
                }
            })
        });
        let stderr = scope.spawn(|| drain(stderr, |_| ()));
        let end = child.wait(deadline, look)?;
        Ok(Run {
            serial: serial.join().expect("the draining thread does not panic"),
            stderr: String::from_utf8_lossy(
                &stderr.join().expect("the draining thread does not panic"),
            )
            .into_owned(),
            end,
            duration: start.elapsed(),
        })
    })
}

/// Lets the kernel end the machine when this process is killed and has no chance to do so itself.
fn die_with_this_process(command: &mut Command) {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::process::CommandExt as _;
        let ask = || {
            // SAFETY: the call takes numbers only, and sets nothing but an attribute of the new process.
            let answer = unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            if answer == 0 {
                Ok(())
            } else {
                Err(std::io::Error::last_os_error())
            }
        };
        // SAFETY: between fork and exec `ask` makes one system call and allocates nothing.
        unsafe { command.pre_exec(ask) };
    }
}

/// No way out of this module leaves a machine running.
struct KillOnDrop(Child);

impl KillOnDrop {
    fn wait(&mut self, deadline: Option<Duration>, look: impl FnOnce()) -> Result<End> {
        let Some(deadline) = deadline else {
            return Ok(self.0.wait()?.into());
        };
        if let Some(status) = self.0.wait_timeout(deadline)? {
            return Ok(status.into());
        }
        look();
        self.kill();
        self.0.wait()?;
        Ok(End::Deadline(deadline))
    }
}

impl KillOnDrop {
    /// Ends the process, and those that it has started if it leads a group of its own.
    fn kill(&mut self) {
        let runs = matches!(self.0.try_wait(), Ok(None));
        if let (true, Ok(number)) = (runs, libc::pid_t::try_from(self.0.id())) {
            // SAFETY: the call takes a number only. The process was not waited for, so the number is still its own.
            let group = unsafe { libc::getpgid(number) };
            if group == number {
                // SAFETY: the call takes numbers only, and the group is that of the process.
                unsafe { libc::kill(-number, libc::SIGKILL) };
            }
        }
        // It fails only if the process has already been waited for, and then there is nothing left to end.
        drop(self.0.kill());
    }
}

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        self.kill();
        drop(self.0.wait());
    }
}

impl From<ExitStatus> for End {
    fn from(status: ExitStatus) -> Self {
        use std::os::unix::process::ExitStatusExt as _;
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Status(code),
            (None, signal) => Self::Signal(signal.unwrap_or(0)),
        }
    }
}

fn drain(from: impl Read, mut listener: impl FnMut(&str)) -> Vec<u8> {
    let mut from = BufReader::new(from);
    let mut all = Vec::new();
    loop {
        let start = all.len();
        // A broken pipe is the end of the machine, which the status tells better.
        match from.read_until(b'\n', &mut all) {
            Ok(0) | Err(_) => return all,
            Ok(_) => listener(&String::from_utf8_lossy(&all[start..])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, deadline: Duration) -> Run {
        run(
            Command::new("sh").args(["-c", script]),
            Some(deadline),
            &|_| (),
        )
        .expect("sh starts")
    }

    #[test]
    fn status_and_both_outputs_are_taken() {
        let run = shell("echo out; echo err >&2; exit 33", Duration::from_secs(60));
        assert_eq!(
            (run.end, &*run.serial, &*run.stderr),
            (End::Status(33), &b"out\n"[..], "err\n")
        );
    }

    #[test]
    fn what_is_typed_arrives_when_its_line_has_come() {
        let script = "echo name?; read name; echo \"hello, $name\"";
        let run = converse(
            Command::new("sh").args(["-c", script]),
            Duration::from_secs(60),
            &|line| if line == "name?\n" { b"kernel\n" } else { b"" },
        )
        .expect("sh starts");
        assert_eq!(
            (run.end, &*run.serial),
            (End::Status(0), &b"name?\nhello, kernel\n"[..])
        );
    }

    #[test]
    fn a_signal_is_not_a_status() {
        assert_eq!(
            shell("kill -9 $$", Duration::from_secs(60)).end,
            End::Signal(9)
        );
    }

    #[test]
    fn the_deadline_ends_a_machine_that_does_not_end() {
        let deadline = Duration::from_millis(100);
        // `exec`: the sleeping process is the one that is killed, or it would keep the pipes open.
        let run = shell("echo begun; exec sleep 1000", deadline);
        assert_eq!(
            (run.end, &*run.serial),
            (End::Deadline(deadline), &b"begun\n"[..])
        );
    }

    #[test]
    fn the_deadline_ends_what_a_program_of_the_project_has_started_too() {
        use std::os::unix::process::CommandExt as _;
        let deadline = Duration::from_millis(100);
        let mut command = Command::new("sh");
        // The pipes are open until the sleeping process has ended as well.
        command
            .args(["-c", "sleep 1000; echo not reached"])
            .process_group(0);
        let run = run(&mut command, Some(deadline), &|_| ()).expect("sh starts");
        assert_eq!((run.end, run.serial.len()), (End::Deadline(deadline), 0));
    }

    #[test]
    fn more_output_than_a_pipe_holds_stops_nothing() {
        let run = shell(
            "head -c 1000000 /dev/zero; head -c 1000000 /dev/zero >&2",
            Duration::from_secs(60),
        );
        assert_eq!(
            (run.end, run.serial.len(), run.stderr.len()),
            (End::Status(0), 1_000_000, 1_000_000)
        );
    }
}
