//! Sizes of what is in memory: from the built kernels, not from what the source says.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use gimli::{Dwarf, EndianArcSlice, LittleEndian, Reader as _};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _};

use super::figures::Figures;
use crate::kernel::cargo::Counted;

type Slice = EndianArcSlice<LittleEndian>;

/// Sizes in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// What the scheduler knows of a fiber.
    pub(super) control_block: u64,
    /// What a cell has beyond its stack, the control block included.
    pub(super) beyond_the_stack: u64,
    pub(super) scheduler: u64,
    /// Text of the smallest kernel with two fibers, without its boot code.
    pub(super) smallest_text: u64,
    /// The same, built for size.
    pub(super) smallest_text_for_size: u64,
}

impl Sizes {
    /// Measures all but the smallest kernel.
    pub(super) fn new(kernel: &Path, figures: &Figures) -> Result<Self> {
        Ok(Self {
            control_block: size_of_type(kernel, "Header")?,
            beyond_the_stack: figures.bytes("beyond_the_stack")?,
            scheduler: figures.bytes("scheduler")?,
            smallest_text: 0,
            smallest_text_for_size: 0,
        })
    }

    /// Measures the smallest kernel, which is built twice under one name.
    pub(super) fn add_smallest(&mut self, kernel: &Path, counted: Counted) -> Result<()> {
        let place = match counted {
            Counted::ForSpeed => &mut self.smallest_text,
            Counted::ForSize => &mut self.smallest_text_for_size,
        };
        *place = text_without_boot(kernel)?;
        Ok(())
    }
}

/// The whole section `.text`, whoever's it is, but for the functions of the assembly that leads into long mode.
fn text_without_boot(kernel: &Path) -> Result<u64> {
    const BOOT: [&str; 2] = ["kfiber_test_pvh_entry", "kfiber_test_start"];
    let data = fs::read(kernel)?;
    let elf = object::File::parse(&*data)?;
    let text = elf.section_by_name(".text").context("no text")?;
    let mut size = text.size();
    for name in BOOT {
        let symbol = elf.symbols().find(|symbol| symbol.name() == Ok(name));
        let symbol = symbol.with_context(|| format!("no function `{name}`"))?;
        ensure!(symbol.size() > 0, "the function `{name}` has no size");
        size -= symbol.size();
    }
    Ok(size)
}

/// The size of a structure of the scheduler, as the debug information has it.
fn size_of_type(kernel: &Path, name: &str) -> Result<u64> {
    let data = fs::read(kernel)?;
    let elf = object::File::parse(&*data)?;
    let dwarf = Dwarf::load(|id| -> Result<Slice> {
        let section = elf.section_by_name(id.name());
        let bytes = section.map_or(Ok(&[][..]), |section| section.data())?;
        Ok(Slice::new(bytes.into(), LittleEndian))
    })?;
    let mut sizes = BTreeSet::new();
    let mut units = dwarf.units();
    while let Some(header) = units.next()? {
        let unit = dwarf.unit(header)?;
        let mut entries = unit.entries();
        while let Some(entry) = entries.next_dfs()? {
            if entry.tag() != gimli::DW_TAG_structure_type {
                continue;
            }
            let size = entry.attr_value(gimli::DW_AT_byte_size);
            let (Some(own), Some(size)) = (entry.attr_value(gimli::DW_AT_name), size) else {
                continue;
            };
            if &*dwarf.attr_string(&unit, own)?.to_string_lossy()? == name {
                sizes.insert(size.udata_value().context("a size that is no number")?);
            }
        }
    }
    ensure!(
        sizes.len() == 1,
        "the debug information has structures `{name}` of {} sizes, and one was expected",
        sizes.len()
    );
    Ok(sizes.into_iter().sum())
}
