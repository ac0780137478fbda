//! The built bytes: finds kfiber's functions and every inline copy of the switch in an ELF file, and decodes them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};
use iced_x86::Instruction;

use super::part::{self, Part, Piece};
use super::search;
use super::unwind_table::{self, Table};

/// Instructions by address.
pub(super) type Program = BTreeMap<u64, Instruction>;

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
        let all = part::all_functions(&elf)?;
        let mut functions = Vec::new();
        for part in Part::FUNCTIONS {
            let found = all.iter().filter(|piece| part.is_called(&piece.function));
            functions.extend(found.map(|piece| Piece {
                part,
                ..piece.clone()
            }));
        }
        // One for each copy of the library that is in the program.
        let starts = |part| {
            let found = functions.iter().filter(move |piece| piece.part == part);
            found.map(|piece: &Piece| piece.start).collect::<Vec<_>>()
        };
        let ends = Part::ENDS.map(|(form, tail)| (form, starts(tail)));
        let exit_tails = starts(Part::ExitTail);
        ensure!(
            ends.iter().any(|(_, tails)| !tails.is_empty()),
            "{} contains no inline switch: all tails are missing",
            file.display()
        );
        let mut copies = Vec::new();
        for function in &all {
            if !Part::OutOfLine.is_called(&function.function) {
                for (form, tails) in &ends {
                    search::inline_copies(function, tails, *form, has_fp, &mut copies)?;
                }
                search::inline_leaves(function, &exit_tails, has_fp, &mut copies)?;
            }
        }
        let program = functions.iter().chain(&copies);
        let program = program
            .flat_map(Piece::instructions)
            .map(|instruction| (instruction.ip(), instruction))
            .collect();
        let tables = unwind_table::load(&elf, &functions)?;
        let taken = search::addresses_taken(&all, &functions)?;
        let [(_, resume), (_, suspend), (_, switch)] = ends;
        let of_registers = starts(Part::Tail);
        let ends = [of_registers, resume, suspend, switch, exit_tails].concat();
        search::nothing_overlooked(&elf, &ends, &all)?;
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
        self.is_in_any(address, |it| it == part)
    }

    /// Whether the address is in the end of a switch that comes back.
    pub(super) fn is_in_tail(&self, address: u64) -> bool {
        self.is_in_any(address, Part::is_tail)
    }

    fn is_in_any(&self, address: u64, is_wanted: impl Fn(Part) -> bool) -> bool {
        let mut functions = self.functions.iter();
        functions
            .any(|piece| is_wanted(piece.part) && (piece.start..piece.end()).contains(&address))
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
