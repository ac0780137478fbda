//! A kernel as a file: where its schedulers are, how its fibers lie in memory, and what its
//! addresses are called.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _, SectionKind, SymbolKind};

use super::dwarf::{self, Elf, Found, Shape, TypeAt, Wanted};

const HEADER: &str = "kfiber::scheduler::task::header::Header";
const BLOCK: &str = "kfiber::context::block::ControlBlock";
const CONTEXT: &str = "kfiber::context::block::Context";
const RECORD: &str = "kfiber::context::block::FrameRecord";
const WAIT: &str = "kfiber::scheduler::task::wait::Wait";
const KIND: &str = "kfiber::scheduler::task::wait::Kind";
const REASON: &str = "kfiber::scheduler::task::wait::WaitReason";
const LOOP: &str = "kfiber::scheduler::run_loop::RunLoop";
const TEAM: &str = "kfiber::scheduler::run_loop::team::Team";
const LOCATION: &str = "core::panic::location::Location";
const CORE_LOCAL: &str = "kfiber::core_local::CoreLocal";
const SCHEDULER: &str = "kfiber::scheduler::Scheduler";
/// The word that says which fiber runs, where there is one core.
const WORD: &str = "kfiber::scheduler::cpu::current::word::WORD";
/// Where a core's words lie from its GS base, if not at it.
const CORE_AT: &str = "__kfiber_core_at";
/// The arrangement of a control block that this program knows: see `src/debugger.rs` of kfiber.
const LAYOUT: &str = "kfiber_debugger_layout_";
const KNOWN_LAYOUT: &str = "1";

/// The offsets of what is read of a fiber, in bytes from its header, or from what the name says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) rip: u64,
    pub(super) rsp: u64,
    pub(super) rbp: u64,
    pub(super) rbx: u64,
    pub(super) turns: u64,
    pub(super) state: u64,
    pub(super) wait: u64,
    pub(super) name_at: u64,
    pub(super) name_bytes: u64,
    pub(super) stack_bottom: u64,
    pub(super) next_of_all: u64,
    pub(super) link_check: u64,
    pub(super) wait_kind: u64,
    pub(super) wait_object: u64,
    pub(super) wait_location: u64,
    pub(super) kind_reason: u64,
    pub(super) location_file: u64,
    pub(super) location_line: u64,
}

/// Where a core says which fiber it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Current {
    /// In a static, because there is one core.
    At(u64),
    /// In the words of the core: their offset from the GS base, and that of the word in them.
    PerCore { words: u64, word: u64 },
    /// It is not known.
    Unknown,
}

/// A static or function.
#[derive(Clone, Debug)]
struct Symbol {
    address: u64,
    size: u64,
    name: String,
}

/// What the bridge knows of a kernel.
#[derive(Clone, Debug)]
pub struct Kernel {
    pub(super) layout: Layout,
    /// The addresses of the first links of the schedulers' lists of all fibers.
    pub(super) lists: Vec<u64>,
    pub(super) current: Current,
    /// The names of what fibers wait for.
    pub(super) reasons: BTreeMap<u64, String>,
    symbols: Vec<Symbol>,
    /// The memory that nobody changes, so that it need not be asked for.
    constant: Vec<(u64, Vec<u8>)>,
    /// What is added to all addresses of the file.
    slide: u64,
}

impl Kernel {
    /// Reads the ELF file of a kernel, which runs `slide` bytes above the addresses in the file.
    ///
    /// # Errors
    ///
    /// Returns an error if the file is no ELF file of 64 bits, has no debug information, or
    /// contains no scheduler of kfiber that this program knows.
    pub fn read(path: &Path, slide: u64) -> Result<Self> {
        let data = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&data, slide).with_context(|| format!("{}", path.display()))
    }

    fn parse(data: &[u8], slide: u64) -> Result<Self> {
        let elf = Elf::parse(data).context("not an ELF file of 64 bits")?;
        if elf.section_by_name(".debug_info").is_none() {
            bail!(
                "no debug information, so nobody knows where the fibers are: set `debug = 2` in the profile of the kernel, and do not \
                 strip it"
            );
        }
        let symbols = symbols(&elf);
        check_layout(&elf)?;
        let wanted = Wanted {
            paths: &[
                HEADER, BLOCK, CONTEXT, RECORD, WAIT, KIND, REASON, LOOP, TEAM, LOCATION,
                CORE_LOCAL,
            ],
            generic: SCHEDULER,
        };
        let found = dwarf::read(&elf, &wanted).context("its debug information cannot be read")?;
        let lists = lists(&found)?;
        if lists.is_empty() {
            bail!("no static contains a `Scheduler` of kfiber, so there are no fibers to show");
        }
        let add_slide = |address: u64| address.wrapping_add(slide);
        let find = |name: &str| symbols.iter().find(|symbol| symbol.name == name);
        let current = match (find(WORD), found.structures.get(CORE_LOCAL)) {
            (Some(symbol), _) => Current::At(add_slide(symbol.address)),
            (None, Some(words)) => Current::PerCore {
                words: find(CORE_AT).map_or(0, |symbol| symbol.address),
                word: words.get("words").copied().unwrap_or(8),
            },
            (None, None) => Current::Unknown,
        };
        Ok(Self {
            layout: layout(&found)?,
            lists: lists.into_iter().map(add_slide).collect(),
            current,
            reasons: found.values.get(REASON).cloned().unwrap_or_default(),
            constant: constant(&elf, slide),
            symbols,
            slide,
        })
    }

    /// A kernel without a file.
    #[cfg(test)]
    pub(super) fn of_parts(layout: Layout, lists: Vec<u64>, current: Current) -> Self {
        Self {
            layout,
            lists,
            current,
            reasons: [(6, "Mutex".to_owned())].into(),
            symbols: Vec::new(),
            constant: Vec::new(),
            slide: 0,
        }
    }

    /// Bytes that nobody changes, if these are such.
    pub(super) fn constant(&self, address: u64, length: usize) -> Option<&[u8]> {
        self.constant.iter().find_map(|(start, bytes)| {
            let from = usize::try_from(address.checked_sub(*start)?).ok()?;
            bytes.get(from..from.checked_add(length)?)
        })
    }

    /// The name of the static at an address, or in it.
    pub(super) fn name(&self, address: u64) -> Option<&str> {
        let address = address.wrapping_sub(self.slide);
        let behind = self
            .symbols
            .partition_point(|symbol| symbol.address <= address);
        let symbol = self.symbols[..behind].last()?;
        (address - symbol.address < symbol.size.max(1)).then_some(&symbol.name)
    }
}

/// An error if the kernel says that its fibers lie in memory in a way that this program does not
/// know. A kernel that does not say it, because it has no script for gdb, is believed.
fn check_layout(elf: &Elf<'_>) -> Result<()> {
    let names = elf.symbols().filter_map(|symbol| symbol.name().ok());
    let mut layouts = names.filter_map(|name| name.strip_prefix(LAYOUT));
    match layouts.next() {
        None | Some(KNOWN_LAYOUT) => Ok(()),
        Some(other) => bail!(
            "the kernel has a kfiber of another version (its arrangement of fibers is number {other}, and this program knows \
             {KNOWN_LAYOUT}): install the `cargo-kfiber` of that version"
        ),
    }
}

fn layout(found: &Found) -> Result<Layout> {
    let offset = |path: &str, field: &str| -> Result<u64> {
        let members = found.structures.get(path);
        let offset = members.and_then(|members| members.get(field)).copied();
        offset.with_context(|| {
            format!("the debug information has no `{path}::{field}`: is kfiber of another version than this program?")
        })
    };
    let block = offset(HEADER, "block")?;
    let own = block + offset(BLOCK, "own")?;
    let record = own + offset(CONTEXT, "record")?;
    let file = offset(LOCATION, "filename").or_else(|_| offset(LOCATION, "file"))?;
    Ok(Layout {
        rip: record + offset(RECORD, "ip")?,
        rsp: own + offset(CONTEXT, "sp")?,
        rbp: record + offset(RECORD, "rbp")?,
        rbx: own + offset(CONTEXT, "rbx")?,
        // The second of the two words of the block that the scheduler uses.
        turns: block + offset(BLOCK, "parent")? + offset(CONTEXT, "rbx")?,
        state: offset(HEADER, "state")?,
        wait: offset(HEADER, "wait")?,
        name_at: offset(HEADER, "name_at")?,
        name_bytes: offset(HEADER, "name_bytes")?,
        stack_bottom: offset(HEADER, "stack_bottom")?,
        next_of_all: offset(HEADER, "next_of_all")?,
        link_check: offset(HEADER, "link_check")?,
        wait_kind: offset(WAIT, "kind_and_sleep")?,
        wait_object: offset(WAIT, "object")?,
        wait_location: offset(WAIT, "location")?,
        kind_reason: offset(KIND, "reason")?,
        location_file: file,
        location_line: offset(LOCATION, "line")?,
    })
}

/// The addresses of the lists of all fibers, in all schedulers in all statics.
fn lists(found: &Found) -> Result<BTreeSet<u64>> {
    let field = |path: &str, field: &str| {
        let members = found.structures.get(path)?;
        members.get(field).copied()
    };
    let mut lists = BTreeSet::new();
    for (address, of) in &found.statics {
        for (offset, scheduler) in schedulers(found, *of, 0) {
            let members = &found.generic[&scheduler];
            // With several cores the scheduler has the team, with one its loop has it.
            let team = match members.get("team") {
                Some(team) => Some(*team),
                None => field(LOOP, "team").and_then(|team| Some(members.get("loops")? + team)),
            };
            let team = team.context("a scheduler without a team: is kfiber of another version?")?;
            let all = field(TEAM, "all").context("a team without a list of all fibers")?;
            lists.insert(address + offset + team + all);
        }
    }
    Ok(lists)
}

/// The schedulers in a type: their offsets and types.
fn schedulers(found: &Found, of: TypeAt, depth: u32) -> Vec<(u64, TypeAt)> {
    /// Deeper than any type that somebody writes, and a limit if the information is damaged.
    const DEEPEST: u32 = 16;
    /// Of large arrays the first elements are enough: nobody has as many schedulers.
    const MOST: u64 = 64;
    if found.generic.contains_key(&of) {
        return vec![(0, of)];
    }
    let parts = match found.shapes.get(&of) {
        None => return Vec::new(),
        Some(_) if depth == DEEPEST => return Vec::new(),
        Some(Shape::Structure(members)) => members.clone(),
        Some(Shape::Array(element, count)) => {
            let size = found.sizes.get(element).copied().unwrap_or(0);
            let inside = schedulers(found, *element, depth + 1);
            let places = (0..(*count).min(MOST)).flat_map(|index| {
                let shift = move |(offset, of): &(u64, TypeAt)| (index * size + offset, *of);
                inside.iter().map(shift).collect::<Vec<_>>()
            });
            return places.collect();
        }
    };
    let inside = parts.into_iter().flat_map(|(offset, of)| {
        let shift = move |(inner, of): (u64, TypeAt)| (offset + inner, of);
        schedulers(found, of, depth + 1).into_iter().map(shift)
    });
    inside.collect()
}

/// The symbols in the order of their addresses.
fn symbols(elf: &Elf<'_>) -> Vec<Symbol> {
    let named = elf.symbols().filter_map(|symbol| {
        let is_meant = matches!(symbol.kind(), SymbolKind::Data | SymbolKind::Text)
            || symbol.name() == Ok(CORE_AT);
        let name = symbol
            .name()
            .ok()
            .filter(|name| is_meant && !name.is_empty())?;
        Some(Symbol {
            address: symbol.address(),
            size: symbol.size(),
            name: format!("{:#}", rustc_demangle::demangle(name)),
        })
    });
    let mut symbols: Vec<Symbol> = named.collect();
    symbols.sort_by_key(|symbol| symbol.address);
    symbols
}

/// The sections that nobody writes, if the kernel runs where it was linked. Elsewhere the loader has
/// changed the addresses in them.
fn constant(elf: &Elf<'_>, slide: u64) -> Vec<(u64, Vec<u8>)> {
    if slide != 0 || elf.kind() != object::ObjectKind::Executable {
        return Vec::new();
    }
    let sections = elf.sections().filter(|section| {
        matches!(
            section.kind(),
            SectionKind::ReadOnlyData | SectionKind::ReadOnlyString
        ) && section.address() != 0
    });
    let bytes =
        sections.filter_map(|section| Some((section.address(), section.data().ok()?.to_vec())));
    bytes.collect()
}
