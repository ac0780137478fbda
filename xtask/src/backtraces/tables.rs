//! Finds the unwind entries of one function in an ELF file, and changes bytes of them.

use anyhow::{Context as _, Result, ensure};
use gimli::{
    BaseAddresses, CieOrFde, DebugFrame, EhFrame, EndianSlice, LittleEndian, UnwindSection,
};
use object::read::elf::ElfFile64;
use object::{Object as _, ObjectSection as _, ObjectSymbol as _};
use std::ops::Range;

type Bytes<'data> = EndianSlice<'data, LittleEndian>;

/// An ELF file that is being damaged.
pub(super) struct Tables {
    pub(super) elf: Vec<u8>,
}

/// Where in the ELF file one entry of a function lies.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Of the function itself, with its length.
    pub(super) function: Range<usize>,
    /// Of what it has in common with others, with its length.
    pub(super) common: Range<usize>,
    /// Bytes of an address in it: 8 in `.debug_frame`, 4 in `.eh_frame`.
    pub(super) address_size: usize,
}

impl Tables {
    /// The entries of a function, of which there may be one in each section.
    pub(super) fn entries(&self, function: &str) -> Result<Vec<Entry>> {
        let elf = ElfFile64::<object::LittleEndian>::parse(&*self.elf)?;
        // Several, if several copies of the library are linked.
        let addresses: Vec<_> = elf
            .symbols()
            .filter(|symbol| symbol.is_definition())
            .filter(|symbol| symbol.name().is_ok_and(|name| is(name, function)))
            .map(|symbol| symbol.address())
            .collect();
        let mut entries = Vec::new();
        for (name, address_size) in [(".debug_frame", 8), (".eh_frame", 4)] {
            let section = elf
                .section_by_name(name)
                .with_context(|| format!("no {name}"))?;
            let data = section.data()?;
            let start = usize::try_from(section.compressed_file_range()?.offset)?;
            if name == ".debug_frame" {
                let tables = DebugFrame::new(data, LittleEndian);
                let cie = DebugFrame::cie_from_offset;
                collect(
                    &tables,
                    &BaseAddresses::default(),
                    cie,
                    &addresses,
                    |function, common| {
                        entries.push(Entry::new(start, function, common, address_size));
                    },
                )?;
            } else {
                let tables = EhFrame::new(data, LittleEndian);
                let bases = BaseAddresses::default().set_eh_frame(section.address());
                collect(
                    &tables,
                    &bases,
                    EhFrame::cie_from_offset,
                    &addresses,
                    |function, common| {
                        entries.push(Entry::new(start, function, common, address_size));
                    },
                )?;
            }
        }
        ensure!(!entries.is_empty(), "no unwind entry for `{function}`");
        Ok(entries)
    }

    /// Replaces bytes in a range of the file; they must be there.
    pub(super) fn replace(&mut self, range: &Range<usize>, from: &[u8], to: &[u8]) -> Result<()> {
        assert_eq!(from.len(), to.len(), "nothing may move");
        let bytes = &mut self.elf[range.clone()];
        let mut count = 0;
        for at in 0..=bytes.len() - from.len() {
            if bytes[at..].starts_with(from) {
                bytes[at..at + to.len()].copy_from_slice(to);
                count += 1;
            }
        }
        ensure!(count > 0, "{from:x?} is not in the entry: has it changed?");
        Ok(())
    }

    /// Adds to the number of `size` bytes at an offset.
    pub(super) fn add(&mut self, at: usize, size: usize, addend: i64) {
        let mut bytes = [0; 8];
        bytes[..size].copy_from_slice(&self.elf[at..at + size]);
        let number = i64::from_le_bytes(bytes).wrapping_add(addend);
        self.elf[at..at + size].copy_from_slice(&number.to_le_bytes()[..size]);
    }
}

impl Entry {
    fn new(
        section: usize,
        function: Range<usize>,
        common: Range<usize>,
        address_size: usize,
    ) -> Self {
        let shift = |range: Range<usize>| section + range.start..section + range.end;
        Self {
            function: shift(function),
            common: shift(common),
            address_size,
        }
    }

    /// Where the function's address is: behind the length and the offset of the common part.
    pub(super) const fn address(&self) -> usize {
        self.function.start + 8
    }

    /// Where the function's size is.
    pub(super) const fn size(&self) -> usize {
        self.address() + self.address_size
    }
}

/// Whether a symbol is this function.
fn is(symbol: &str, function: &str) -> bool {
    format!("{:#}", rustc_demangle::demangle(symbol)) == function
}

fn collect<'data, S: UnwindSection<Bytes<'data>>>(
    tables: &S,
    bases: &BaseAddresses,
    cie: impl Fn(
        &S,
        &BaseAddresses,
        S::Offset,
    ) -> gimli::Result<gimli::CommonInformationEntry<Bytes<'data>>>,
    addresses: &[u64],
    mut found: impl FnMut(Range<usize>, Range<usize>),
) -> Result<()> {
    let mut all = tables.entries(bases);
    while let Some(entry) = all.next()? {
        let CieOrFde::Fde(partial) = entry else {
            continue;
        };
        let function = partial.parse(&cie)?;
        if addresses.contains(&function.initial_address()) {
            let common = function.cie();
            let range = |offset: usize, length: usize| offset..offset + 4 + length;
            found(
                range(function.offset(), function.entry_len()),
                range(common.offset(), common.entry_len()),
            );
        }
    }
    Ok(())
}
