//! Reads the tests of a kernel straight from its ELF file, without booting it.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use object::elf::FileHeader64;
use object::read::elf::{ElfFile64, FileHeader as _, ProgramHeader as _};
use object::{LittleEndian, Object as _, ObjectSection as _, RelocationFlags};

use kfiber_test::protocol::{self, Record, Text};

type Elf<'data> = ElfFile64<'data, LittleEndian>;

/// One test of a kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestCase {
    /// `module::path::name`, as the kernel knows it.
    pub name: String,
    /// The test's function as gdb knows it: the name with the crate in front.
    pub function: String,
    /// Source file, relative to the workspace.
    pub file: String,
    /// Line in `file`.
    pub line: u32,
    /// Words for QEMU's command line.
    pub machine: String,
    /// `FLAG_…` bits of the protocol.
    pub flags: u32,
    /// Deadline in seconds, 0 for the default.
    pub timeout_seconds: u32,
    /// Number of cores that the machine must have, 0 if the test does not care.
    pub cores: u16,
}

impl TestCase {
    /// Whether the test runs only when asked for.
    #[must_use]
    pub const fn is_ignored(&self) -> bool {
        self.flags & protocol::FLAG_IGNORED != 0
    }

    /// Whether interrupts must be able to arrive between any two instructions.
    #[must_use]
    pub const fn needs_icount(&self) -> bool {
        self.flags & protocol::FLAG_ICOUNT != 0
    }

    /// Whether the test passes although a fiber failed.
    #[must_use]
    pub const fn lets_fibers_fail(&self) -> bool {
        self.flags & protocol::FLAG_FIBERS_MAY_FAIL != 0
    }

    /// Whether the kernel's unwind tables are passed to it as a module.
    #[must_use]
    pub const fn needs_debug_frame(&self) -> bool {
        self.flags & protocol::FLAG_DEBUG_FRAME != 0
    }
}

/// The tests of a kernel, in the order of their names.
///
/// # Errors
///
/// Fails if the file is no kernel, or has no tests.
pub fn tests(kernel: &Path) -> Result<Vec<TestCase>> {
    let data = fs::read(kernel).with_context(|| format!("cannot read {}", kernel.display()))?;
    parse(&data).with_context(|| format!("reading the tests of {}", kernel.display()))
}

/// Whether a file is a kernel with tests.
#[must_use]
pub fn has_tests(kernel: &Path) -> bool {
    let Ok(data) = fs::read(kernel) else {
        return false;
    };
    let elf = Elf::parse(&*data);
    let section = elf
        .as_ref()
        .ok()
        .and_then(|elf| elf.section_by_name(protocol::SECTION));
    section.is_some_and(|section| section.size() > 0)
}

/// The end of the highest segment that is loaded. Reads the headers only: kernels are large.
///
/// # Errors
///
/// Fails if the file is no ELF file, or loads nothing.
pub fn memory_end(kernel: &Path) -> Result<u64> {
    const HEADERS_BYTES: u64 = 4096;
    let mut data = Vec::new();
    let file = fs::File::open(kernel)?;
    file.take(HEADERS_BYTES).read_to_end(&mut data)?;
    let header = FileHeader64::<LittleEndian>::parse(&*data)?;
    let segments = header.program_headers(LittleEndian, &*data)?;
    let ends = segments
        .iter()
        .filter(|segment| segment.p_type(LittleEndian) == object::elf::PT_LOAD)
        .map(|segment| segment.p_paddr(LittleEndian) + segment.p_memsz(LittleEndian));
    ends.max().context("nothing is loaded")
}

fn parse(data: &[u8]) -> Result<Vec<TestCase>> {
    let elf = Elf::parse(data).context("not an ELF file of 64 bits")?;
    let Some(section) = elf.section_by_name(protocol::SECTION) else {
        bail!(
            "no section `{}`: the kernel has no tests, or its linker script drops them",
            protocol::SECTION
        );
    };
    let bytes = relocated(&elf, &section)?;
    let size = size_of::<Record<u64>>();
    ensure!(
        bytes.len().is_multiple_of(size),
        "section `{}` has {} bytes, which is no multiple of the {size} bytes of a record",
        protocol::SECTION,
        bytes.len()
    );
    let mut tests = bytes
        .chunks_exact(size)
        .map(|record| test_case(&elf, &Words::new(record).record()))
        .collect::<Result<Vec<_>>>()?;
    tests.sort_by(|one, other| one.name.cmp(&other.name));
    if let Some(pair) = tests.windows(2).find(|pair| pair[0].name == pair[1].name) {
        bail!("two tests are named `{}`", pair[0].name);
    }
    Ok(tests)
}

/// The bytes of a section as they are when the kernel is loaded at the addresses of its file. Those of a kernel that may be loaded
/// anywhere lack its pointers.
fn relocated<'data>(
    elf: &Elf<'data>,
    section: &impl object::ObjectSection<'data>,
) -> Result<Vec<u8>> {
    let mut bytes = section.data()?.to_vec();
    for (address, relocation) in elf.dynamic_relocations().into_iter().flatten() {
        let RelocationFlags::Elf {
            r_type: object::elf::R_X86_64_RELATIVE,
        } = relocation.flags()
        else {
            continue;
        };
        let offset = address.checked_sub(section.address());
        let offset = offset.and_then(|offset| usize::try_from(offset).ok());
        let place = offset.and_then(|offset| bytes.get_mut(offset..)?.first_chunk_mut());
        if let Some(place) = place {
            *place = relocation.addend().to_le_bytes();
        }
    }
    Ok(bytes)
}

fn test_case(elf: &Elf<'_>, record: &Record<u64>) -> Result<TestCase> {
    let function = text(elf, record.name).context("name of a test")?;
    // The kernel knows its tests without its own name in front.
    let name = function
        .split_once("::")
        .map_or(&*function, |(_crate, rest)| rest);
    Ok(TestCase {
        name: name.to_owned(),
        file: text(elf, record.file).context("file of a test")?,
        line: record.line,
        machine: text(elf, record.machine).context("machine of a test")?,
        flags: record.flags,
        timeout_seconds: record.timeout_seconds,
        cores: record.cores,
        function,
    })
}

/// The string at its final address.
fn text(elf: &Elf<'_>, text: Text<u64>) -> Result<String> {
    if text.length == 0 {
        return Ok(String::new());
    }
    for section in elf.sections() {
        if let Some(bytes) = section.data_range(text.address, text.length)? {
            return Ok(core::str::from_utf8(bytes)?.to_owned());
        }
    }
    bail!("address {:#x} lies in no section", text.address)
}

/// Takes a record apart in the order of its fields.
struct Words<'data> {
    rest: &'data [u8],
}

impl<'data> Words<'data> {
    const fn new(rest: &'data [u8]) -> Self {
        Self { rest }
    }

    const fn record(&mut self) -> Record<u64> {
        Record {
            name: self.text(),
            file: self.text(),
            expected: self.text(),
            machine: self.text(),
            run: self.long(),
            line: self.word(),
            flags: self.word(),
            expect: self.half(),
            cores: self.half(),
            timeout_seconds: self.word(),
        }
    }

    const fn text(&mut self) -> Text<u64> {
        Text {
            address: self.long(),
            length: self.long(),
        }
    }

    const fn long(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    const fn word(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    const fn half(&mut self) -> u16 {
        u16::from_le_bytes(self.take())
    }

    const fn take<const N: usize>(&mut self) -> [u8; N] {
        let (first, rest) = self
            .rest
            .split_first_chunk()
            .expect("a chunk has the size of a record");
        self.rest = rest;
        *first
    }
}

/// The fields are read one after the other, so no padding may lie between them: nine long words, three short ones and
/// two halves of a short one.
const _: () = assert!(
    size_of::<Record<u64>>() == 9 * size_of::<u64>() + 3 * size_of::<u32>() + 2 * size_of::<u16>()
);
