//! The built bytes: finds kfiber's functions and every inline copy of the switch in an ELF file, and decodes them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use iced_x86::{Decoder, DecoderOptions, Instruction};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _};

use super::search;
use super::unwind_table::{self, Table};

/// Instructions by address.
pub(super) type Program = BTreeMap<u64, Instruction>;

/// What the assembly consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    OutOfLine,
    Tail,
    Farewell,
    Base,
    Suspended,
    Resume,
    Suspend,
    Switch,
    Leave,
}

impl Part {
    pub(super) const FUNCTIONS: [Self; 5] = [
        Self::OutOfLine,
        Self::Tail,
        Self::Farewell,
        Self::Base,
        Self::Suspended,
    ];
    pub(super) const COPIES: [Self; 4] = [Self::Resume, Self::Suspend, Self::Switch, Self::Leave];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::OutOfLine => "switch out of line",
            Self::Tail => "tail",
            Self::Farewell => "farewell",
            Self::Base => "base",
            Self::Suspended => "suspended",
            Self::Resume => "inline resume",
            Self::Suspend => "inline suspend",
            Self::Switch => "inline switch",
            Self::Leave => "inline leave",
        }
    }

    fn is_called(self, symbol: &str) -> bool {
        match self {
            // The version is part of the name.
            Self::OutOfLine => {
                let version = symbol
                    .strip_prefix("kfiber_")
                    .and_then(|rest| rest.strip_suffix("_switch"));
                version
                    .is_some_and(|version| version.chars().all(|c| c.is_ascii_digit() || c == '_'))
            }
            Self::Tail => symbol == "kfiber::context::x86_64::tail",
            Self::Farewell => symbol == "kfiber::context::x86_64::farewell",
            Self::Base => symbol == "kfiber::context::x86_64::base",
            Self::Suspended => symbol == "kfiber::context::x86_64::suspended",
            Self::Resume | Self::Suspend | Self::Switch | Self::Leave => false,
        }
    }
}

/// A run of code: one of the functions, or an inline copy of the switch with its landing.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) part: Part,
    /// The function that it is in.
    pub(super) function: String,
    pub(super) start: u64,
    pub(super) bytes: Vec<u8>,
}

impl Piece {
    pub(super) const fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    pub(super) fn instructions(&self) -> Vec<Instruction> {
        decode(&self.bytes, self.start)
    }
}

/// One program that contains kfiber.
#[derive(Clone, Debug)]
pub(super) struct Specimen {
    pub(super) program: Program,
    pub(super) functions: Vec<Piece>,
    pub(super) copies: Vec<Piece>,
    pub(super) tables: Vec<Table>,
    /// Functions whose address is taken somewhere, which is then that of their second byte.
    pub(super) taken: Vec<Part>,
    /// Whether control words of the floating-point units are part of a context.
    pub(super) has_fp: bool,
}

impl Specimen {
    /// Takes a program apart.
    pub(super) fn load(file: &Path, has_fp: bool) -> Result<Self> {
        let data = fs::read(file)?;
        let elf = object::File::parse(&*data)?;
        let all = all_functions(&elf)?;
        let mut functions = Vec::new();
        for part in Part::FUNCTIONS {
            let found = all.iter().filter(|piece| part.is_called(&piece.function));
            functions.extend(found.map(|piece| Piece {
                part,
                ..piece.clone()
            }));
        }
        // One for each version of the library that is in the program.
        let starts = |part| {
            let found = functions.iter().filter(move |piece| piece.part == part);
            found.map(|piece: &Piece| piece.start).collect::<Vec<_>>()
        };
        let (tails, farewells) = (starts(Part::Tail), starts(Part::Farewell));
        ensure!(
            !tails.is_empty(),
            "{} contains no switch: `tail` is missing",
            file.display()
        );
        let mut copies = Vec::new();
        for function in &all {
            if !Part::OutOfLine.is_called(&function.function) {
                search::inline_copies(function, &tails, has_fp, &mut copies)?;
                search::inline_leaves(function, &farewells, has_fp, &mut copies)?;
            }
        }
        let program = functions.iter().chain(&copies);
        let program = program
            .flat_map(Piece::instructions)
            .map(|instruction| (instruction.ip(), instruction))
            .collect();
        let tables = unwind_table::load(&elf, &functions)?;
        let taken = search::addresses_taken(&all, &functions)?;
        search::nothing_overlooked(&elf, &[tails, farewells].concat(), &all)?;
        Ok(Self {
            program,
            functions,
            copies,
            tables,
            taken,
            has_fp,
        })
    }

    /// Whether the address is in a function that is this part of the library.
    pub(super) fn is_in(&self, part: Part, address: u64) -> bool {
        let mut functions = self.functions.iter();
        functions.any(|piece| piece.part == part && (piece.start..piece.end()).contains(&address))
    }

    /// The unwind information of the function that is at this address.
    pub(super) fn tables_at(&self, address: u64) -> impl Iterator<Item = &Table> + Clone {
        let tables = self.tables.iter();
        tables.filter(move |table| {
            let end = table.start + table.rows.len() as u64;
            (table.start..end).contains(&address)
        })
    }

    /// Size of a context, which is the distance from `parent` to `own` in a block.
    pub(super) const fn context_size(&self) -> i64 {
        if self.has_fp { 64 } else { 32 }
    }
}

/// All instructions in these bytes.
pub(super) fn decode(bytes: &[u8], start: u64) -> Vec<Instruction> {
    Decoder::with_ip(64, bytes, start, DecoderOptions::NONE)
        .iter()
        .collect()
}

fn all_functions(elf: &object::File<'_>) -> Result<Vec<Piece>> {
    elf.symbols()
        .filter_map(|symbol| function(elf, &symbol).transpose())
        .collect()
}

/// The function of this symbol, if it is one and has a size. What part it is, if any, is not known yet.
pub(super) fn function(
    elf: &object::File<'_>,
    symbol: &object::Symbol<'_, '_>,
) -> Result<Option<Piece>> {
    let Some(section) = symbol.section_index() else {
        return Ok(None);
    };
    if symbol.kind() != object::SymbolKind::Text || symbol.size() == 0 {
        return Ok(None);
    }
    let section = elf.section_by_index(section)?;
    let bytes = section.data_range(symbol.address(), symbol.size())?;
    Ok(Some(Piece {
        part: Part::OutOfLine,
        function: format!("{:#}", rustc_demangle::demangle(symbol.name()?)),
        start: symbol.address(),
        bytes: bytes
            .context("a symbol reaches out of its section")?
            .to_vec(),
    }))
}
