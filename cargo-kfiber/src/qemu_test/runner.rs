//! Boots one machine for one test and judges it; a crash is run again to find out what it was.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::kernel::elf::TestCase;
use crate::kernel::symbolize::Symbols;
use crate::kernel::{callers, unwind_tables};
use crate::machine::interrupt_log::{self, Exception};
use crate::machine::monitor::{self, Processor};
use crate::machine::qemu::{self, End, Run};
use crate::machine::{Loader, Machine};
use crate::options::TestOptions;
use crate::qemu_test::origin::{AskedBy, Origin};
use crate::qemu_test::verdict::{Outcome, Verdict, failed_fiber, judge_by};
use kfiber_test::protocol::{FAULT, PREFIX, ROUNDS_KEY, SEED_KEY, STACK_WORDS, TEST_KEY};

/// As much of an interrupt log as is read: a storm of interrupts fills gigabytes, and the end is what matters.
const LOG_TAIL: usize = 1 << 20;

/// Held while a machine with several cores runs: two of them would leave each other too few of the host's processors,
/// and a core that spins would keep the host from the one for which it waits.
static SEVERAL_CORES: Mutex<()> = Mutex::new(());

/// What all tests of one run have in common.
#[expect(
    missing_debug_implementations,
    reason = "the symbols show nothing of themselves"
)]
pub struct Runner {
    /// What was asked for.
    pub options: TestOptions,
    /// The QEMU program.
    pub program: PathBuf,
    /// The kernel's ELF file.
    pub kernel: PathBuf,
    /// Where the kernel comes from.
    pub origin: Origin,
    /// Loaded when the first address has to be explained.
    symbols: Mutex<Option<Symbols>>,
}

/// A test that was run.
#[derive(Debug)]
pub struct Finished {
    /// What it came to.
    pub verdict: Verdict,
    /// The run that was judged.
    pub run: Run,
    /// Where the processors were at the deadline.
    pub processors: Vec<Processor>,
    /// QEMU's log of the second run of a crash.
    pub interrupt_log: Option<PathBuf>,
}

impl Runner {
    /// What runs the tests of a kernel's file.
    #[must_use]
    pub fn new(options: &TestOptions, program: PathBuf, kernel: PathBuf, origin: Origin) -> Self {
        Self {
            options: options.clone(),
            program,
            kernel,
            origin,
            symbols: Mutex::default(),
        }
    }

    /// Runs one test to its verdict.
    ///
    /// # Errors
    ///
    /// Fails if QEMU cannot be started, or a file beside the kernel cannot be written.
    pub fn run(&self, test: &TestCase, seed: u32) -> Result<Finished> {
        let mut machine = self.machine(test, seed)?;
        let _alone = (test.cores > 1).then(|| {
            SEVERAL_CORES
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
        });
        let folder = tempfile::tempdir()?;
        let socket = folder.path().join("monitor");
        machine.monitor = Some(socket.clone());
        if self.origin.loader != Loader::Qemu {
            // Its program may write a disk beside the kernel, while those of other tests do so too.
            let own = folder
                .path()
                .join(self.kernel.file_name().unwrap_or_default());
            fs::copy(&self.kernel, &own)?;
            machine.kernel = own;
        }
        let show = |line: &str| {
            if self.options.nocapture {
                println!("[{}] {}", test.name, line.trim_end());
            }
        };
        let mut processors = Vec::new();
        // Without an answer there is nothing to report; the verdict is a timeout anyway.
        let look = || processors = monitor::processors(&socket).unwrap_or_default();
        let deadline = Some(self.deadline(test));
        let run = qemu::run_and_look(&mut machine.command(), deadline, &show, look)?;
        let mut verdict = judge_by(self.origin.line_count, &test.name, &run.serial, run.end);
        let lets_fibers_fail = self.origin.lets_fibers_fail || test.lets_fibers_fail();
        if verdict.outcome == Outcome::Pass
            && !lets_fibers_fail
            && let Some(failed) = failed_fiber(&run.serial)
        {
            verdict = failed;
        }
        let mut interrupt_log = None;
        // Status 1 is QEMU refusing its command line or the kernel, which it explains itself.
        if verdict.outcome == Outcome::Crash && run.end != End::Status(1) {
            let (explanation, log) = self.explain_crash(test, machine)?;
            verdict.reason = format!("{explanation} ({})", verdict.reason);
            interrupt_log = Some(log);
        }
        Ok(Finished {
            verdict,
            run,
            processors,
            interrupt_log,
        })
    }

    /// The machine that runs a test.
    ///
    /// # Errors
    ///
    /// Fails if the unwind tables that the test needs cannot be written beside the kernel.
    pub fn machine(&self, test: &TestCase, seed: u32) -> Result<Machine> {
        let mut words = format!("{TEST_KEY}{} {SEED_KEY}{seed}", test.name);
        if let Some(rounds) = self.options.rounds {
            words += &format!(" {ROUNDS_KEY}{rounds}");
        }
        let (command_line, request) = match self.origin.asked_by {
            AskedBy::CommandLine => (words, None),
            AskedBy::Device => (String::new(), Some(words)),
        };
        let mut machine = Machine::new(
            &self.program,
            &self.options.machine,
            &self.kernel,
            command_line,
        );
        machine.request = request;
        machine.loader.clone_from(&self.origin.loader);
        machine.more.clone_from(&self.origin.qemu);
        if test.cores != 0 {
            machine.options.smp = test.cores.into();
        }
        machine.icount = test.needs_icount();
        machine.words.clone_from(&test.machine);
        if test.needs_debug_frame() {
            machine.module = Some(unwind_tables::beside(&self.kernel)?);
        }
        Ok(machine)
    }

    /// What lies at an address of the kernel, which said this on its serial port.
    pub fn describe(&self, address: u64, serial: &str) -> String {
        let slide = |symbols: &Symbols| {
            let mut slides = serial.lines().map(|line| symbols.slide_said_in(line));
            slides.find_map(|slide| slide).unwrap_or(0)
        };
        self.with_symbols(|symbols| symbols.describe(address.wrapping_sub(slide(symbols))))
            .unwrap_or_else(|error| {
                format!("unknown, for the debug information cannot be read: {error:#}")
            })
    }

    /// The callers of what faulted, up to the first that is the workspace's own, if it faulted in a function of `core`.
    pub fn callers(&self, serial: &str) -> Vec<String> {
        let Some((words, rip)) = faulted(serial) else {
            return Vec::new();
        };
        let Ok((tables, _)) = unwind_tables::read(&self.kernel) else {
            return Vec::new();
        };
        self.with_symbols(|symbols| {
            let mut callers = Vec::new();
            let (mut rip, mut words) = (rip, &*words);
            while !symbols.is_of_the_workspace(rip)
                && let Some((address, above)) = callers::step(&tables, rip, words)
            {
                // The call is before the address that it returns to.
                (rip, words) = (address.wrapping_sub(1), above);
                callers.push(symbols.describe(rip));
            }
            callers
        })
        .unwrap_or_default()
    }

    fn with_symbols<T>(&self, look: impl FnOnce(&Symbols) -> T) -> Result<T> {
        let mut symbols = self
            .symbols
            .lock()
            .expect("nothing panics while it holds the symbols");
        let symbols = match &mut *symbols {
            Some(loaded) => loaded,
            none => none.insert(Symbols::load(&self.kernel, &self.origin.root)?),
        };
        Ok(look(symbols))
    }

    fn deadline(&self, test: &TestCase) -> Duration {
        let own = Some(test.timeout_seconds).filter(|seconds| *seconds != 0);
        let seconds = self.options.timeout.or(own);
        seconds.map_or(self.origin.deadline, |seconds| {
            Duration::from_secs(seconds.into())
        })
    }

    /// Runs a crash again with QEMU's log of interrupts. Whatever comes of it, the verdict stays a crash.
    fn explain_crash(&self, test: &TestCase, mut machine: Machine) -> Result<(String, PathBuf)> {
        let folder = &self.origin.logs;
        fs::create_dir_all(folder)?;
        let log = folder.join(format!("{}.interrupts.log", test.name.replace("::", ".")));
        machine.interrupt_log = Some(log.clone());
        let again = qemu::run(&mut machine.command(), Some(self.deadline(test)), &|_| ())?;
        let text = keep_tail(&log)?;
        let explanation = match interrupt_log::triple_fault(&text) {
            Some(chain) => self.describe_chain(&chain, &String::from_utf8_lossy(&again.serial)),
            None => {
                let verdict =
                    judge_by(self.origin.line_count, &test.name, &again.serial, again.end);
                format!(
                    "no triple fault when run again with the interrupt log, which came to {}: {}",
                    verdict.outcome, verdict.reason
                )
            }
        };
        Ok((explanation, log))
    }

    fn describe_chain(&self, chain: &[Exception], serial: &str) -> String {
        let mut text = "triple fault".to_owned();
        for (index, exception) in chain.iter().enumerate() {
            text += if index == 0 { ": " } else { ", then " };
            text += interrupt_log::name(exception.vector);
            let Some(delivery) = exception.delivery.filter(|_| index == 0) else {
                continue;
            };
            text += &format!(" in {}", self.describe(delivery.rip, serial));
            text += &format!(
                " [rip={:#x} rsp={:#x} error={:#x}",
                delivery.rip, delivery.rsp, delivery.error
            );
            if let Some(address) = delivery.cr2 {
                text += &format!(" cr2={address:#x}");
            }
            text.push(']');
        }
        text
    }
}

/// The words on the stack and the instruction pointer of the fault that the guest reported.
fn faulted(serial: &str) -> Option<(Vec<u64>, u64)> {
    let hexadecimal = |word: &str| u64::from_str_radix(word.trim_start_matches("0x"), 16).ok();
    let line = |start: &str| serial.lines().find_map(|line| line.strip_prefix(start));
    let words = line(STACK_WORDS)?.split_whitespace().map(hexadecimal);
    let fault = line(&format!("{PREFIX}{FAULT} "))?;
    let rip = fault
        .split(' ')
        .find_map(|word| word.strip_prefix("rip="))?;
    Some((words.collect::<Option<_>>()?, hexadecimal(rip)?))
}

/// Cuts a log down to its end and returns that.
///
/// # Errors
///
/// Fails if there is no such file.
pub fn keep_tail(log: &Path) -> Result<String> {
    use std::io::{Read as _, Seek as _, SeekFrom};
    let mut file =
        fs::File::open(log).with_context(|| format!("QEMU wrote no {}", log.display()))?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL as u64)))?;
    let mut tail = Vec::with_capacity(LOG_TAIL);
    file.read_to_end(&mut tail)?;
    if length > LOG_TAIL as u64 {
        fs::write(log, &tail)?;
    }
    Ok(String::from_utf8_lossy(&tail).into_owned())
}
