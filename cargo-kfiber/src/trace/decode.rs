//! Reads an export: the bytes, or the lines in a log that contain them. The format is described in kfiber, in
//! `src/recorder/export.rs`.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};

/// What a line of an export begins with; its number follows.
pub const PREFIX: &str = "kfiber-trace ";
const MAGIC: &[u8] = b"KFTRACE1";

/// What happened. See `trace::event::Kind` of kfiber.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "kfiber documents them")]
pub enum Kind {
    Switch,
    Ready,
    Posted,
    Wait,
    Sleep,
    Move,
    InterruptIn,
    InterruptOut,
    Spawn,
    Name,
    End,
    Failure,
    Mark,
    SpanBegin,
    SpanEnd,
    Timer,
}

/// The kinds in the order of their numbers, from 1 on.
const KINDS: [Kind; 16] = [
    Kind::Switch,
    Kind::Ready,
    Kind::Posted,
    Kind::Wait,
    Kind::Sleep,
    Kind::Move,
    Kind::InterruptIn,
    Kind::InterruptOut,
    Kind::Spawn,
    Kind::Name,
    Kind::End,
    Kind::Failure,
    Kind::Mark,
    Kind::SpanBegin,
    Kind::SpanEnd,
    Kind::Timer,
];

/// An event.
#[derive(Debug, Clone, Copy)]
pub struct Event {
    /// The time in ticks of the time-stamp counter.
    pub ticks: u64,
    /// The core that recorded it.
    pub core: usize,
    /// What happened.
    pub kind: Kind,
    /// The number of a core, of a reason, or of a part of a name.
    pub extra: u8,
    /// A fiber, an object or a number.
    pub subject: u64,
    /// The address of a place or a label, or a number.
    pub detail: u64,
}

/// A core when the export was made.
#[derive(Debug, Clone, Copy)]
pub struct Core {
    /// The address of the scheduler's own context.
    pub root: u64,
    /// Ticks and nanoseconds when its recorder was started; zeros if it was not.
    pub start: [u64; 2],
    /// The same when the export was made.
    pub now: [u64; 2],
    /// How many events it has ever recorded.
    pub recorded: u64,
}

/// A fiber that was in a cell when the export was made.
#[derive(Debug, Clone)]
pub struct Fiber {
    /// Its generation.
    pub generation: u64,
    /// Its name, which may be empty.
    pub name: String,
}

/// All that a kernel exported.
#[derive(Debug, Default)]
pub struct Export {
    /// The cores by their numbers.
    pub cores: Vec<Core>,
    /// The names of reasons by their numbers.
    pub reasons: BTreeMap<u8, String>,
    /// The fibers by their addresses.
    pub fibers: BTreeMap<u64, Fiber>,
    /// Places in the source by their addresses: file and line.
    pub places: BTreeMap<u64, (String, u32)>,
    /// Labels by their addresses.
    pub labels: BTreeMap<u64, String>,
    /// The events in the order of their times.
    pub events: Vec<Event>,
}

impl Export {
    /// Returns the time in nanoseconds of the kernel's clock.
    #[must_use]
    pub fn nanoseconds(&self, ticks: u64) -> u64 {
        let started = self.cores.iter().filter(|core| core.start[0] != 0);
        let Some(core) = started.min_by_key(|core| core.start[0]) else {
            return ticks;
        };
        let length = |index: usize| i128::from(core.now[index]) - i128::from(core.start[index]);
        let [ticks_passed, passed] = [length(0), length(1)];
        let since = i128::from(ticks) - i128::from(core.start[0]);
        let time = if ticks_passed > 0 && passed > 0 {
            i128::from(core.start[1]) + since * passed / ticks_passed
        } else {
            since
        };
        u64::try_from(time).unwrap_or(0)
    }
}

/// Finds the export in a file: all of it, or lines of a log. Of several exports in a log the last one counts.
///
/// # Errors
///
/// Returns an error if there is none, if lines of it are missing, or if it is not whole.
pub fn find(file: &[u8]) -> Result<Export> {
    if file.starts_with(MAGIC) {
        return parse(file);
    }
    let text = String::from_utf8_lossy(file);
    let mut bytes = Vec::new();
    let mut next = None;
    let mut found = None;
    for line in text.lines() {
        let Some((_, line)) = line.split_once(PREFIX) else {
            continue;
        };
        let Some((number, digits)) = line.trim().split_once(' ') else {
            continue;
        };
        let number: u32 = number
            .parse()
            .with_context(|| format!("the number of the line `{line}`"))?;
        if number == 0 {
            bytes.clear();
            next = Some(0);
        }
        ensure!(
            next == Some(number),
            "lines of the export are missing before line {number}: was the log cut?"
        );
        next = Some(number + 1);
        if digits == "end" {
            found = Some(parse(&bytes)?);
            next = None;
        } else {
            base64(digits, &mut bytes).with_context(|| format!("line {number} of the export"))?;
        }
    }
    ensure!(
        next.is_none(),
        "the end of the export is missing: was the log cut?"
    );
    found.context("there is no export in this file: the kernel calls `Recorder::export`")
}

fn base64(digits: &str, bytes: &mut Vec<u8>) -> Result<()> {
    for four in digits.as_bytes().chunks(4) {
        ensure!(four.len() == 4, "it was cut");
        let mut word = 0_u32;
        for &digit in four {
            let value = match digit {
                b'A'..=b'Z' => digit - b'A',
                b'a'..=b'z' => digit - b'a' + 26,
                b'0'..=b'9' => digit - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                b'=' => 0,
                other => bail!("the character {:?}", char::from(other)),
            };
            word = word << 6 | u32::from(value);
        }
        let padding = four.iter().filter(|&&digit| digit == b'=').count();
        ensure!(padding <= 2, "too much padding");
        bytes.extend_from_slice(&word.to_be_bytes()[1..4 - padding]);
    }
    Ok(())
}

/// What is left to read.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn bytes<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (bytes, rest) = self
            .0
            .split_first_chunk()
            .context("the export ends too early")?;
        self.0 = rest;
        Ok(*bytes)
    }

    fn byte(&mut self) -> Result<u8> {
        self.bytes().map(|[byte]| byte)
    }

    fn short(&mut self) -> Result<u32> {
        self.bytes().map(u32::from_le_bytes)
    }

    fn word(&mut self) -> Result<u64> {
        self.bytes().map(u64::from_le_bytes)
    }

    fn text(&mut self) -> Result<String> {
        let length = usize::from(self.byte()?);
        let (text, rest) = self
            .0
            .split_at_checked(length)
            .context("the export ends too early")?;
        self.0 = rest;
        Ok(String::from_utf8_lossy(text).into_owned())
    }
}

/// Reads the bytes of an export.
///
/// # Errors
///
/// Returns an error if they are not as the format says.
pub fn parse(bytes: &[u8]) -> Result<Export> {
    let bytes = bytes
        .strip_prefix(MAGIC)
        .context("it is no export, or one of another version")?;
    let mut rest = Rest(bytes);
    let mut export = Export::default();
    loop {
        match rest.byte()? {
            b'C' => {
                let number = rest.short()?;
                ensure!(
                    number as usize == export.cores.len(),
                    "core {number} out of order"
                );
                export.cores.push(Core {
                    root: rest.word()?,
                    start: [rest.word()?, rest.word()?],
                    now: [rest.word()?, rest.word()?],
                    recorded: rest.word()?,
                });
            }
            b'R' => {
                let number = rest.byte()?;
                export.reasons.insert(number, rest.text()?);
            }
            b'F' => {
                let address = rest.word()?;
                let generation = rest.short()?.into();
                let _core = rest.short()?;
                let name = rest.text()?;
                export.fibers.insert(address, Fiber { generation, name });
            }
            b'P' => {
                let address = rest.word()?;
                let line = rest.short()?;
                let _column = rest.short()?;
                export.places.insert(address, (rest.text()?, line));
            }
            b'L' => {
                let address = rest.word()?;
                export.labels.insert(address, rest.text()?);
            }
            b'E' => {
                let [core, kind, extra, _] = rest.bytes()?;
                let kind = kind
                    .checked_sub(1)
                    .and_then(|kind| KINDS.get(usize::from(kind)));
                export.events.push(Event {
                    core: core.into(),
                    kind: *kind.context("an event of a kind that this version does not know")?,
                    extra,
                    ticks: rest.word()?,
                    subject: rest.word()?,
                    detail: rest.word()?,
                });
                ensure!(
                    usize::from(core) < export.cores.len(),
                    "an event of a core that is not there"
                );
            }
            b'Z' => return Ok(export),
            other => bail!("a section with the tag {other:#x}, which this version does not know"),
        }
    }
}
