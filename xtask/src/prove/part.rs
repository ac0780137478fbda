//! The parts that the assembly consists of, and the pieces of a built program that are one of them.

use std::collections::HashSet;

use anyhow::{Context as _, Result};
use iced_x86::{Decoder, DecoderOptions, Instruction};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _};

/// What the assembly consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    OutOfLine,
    Tail,
    ResumeTail,
    SuspendTail,
    SwitchTail,
    ExitTail,
    Base,
    Suspended,
    Resume,
    Suspend,
    Switch,
    Leave,
}

impl Part {
    pub(super) const FUNCTIONS: [Self; 8] = [
        Self::OutOfLine,
        Self::Tail,
        Self::ResumeTail,
        Self::SuspendTail,
        Self::SwitchTail,
        Self::ExitTail,
        Self::Base,
        Self::Suspended,
    ];
    pub(super) const COPIES: [Self; 4] = [Self::Resume, Self::Suspend, Self::Switch, Self::Leave];

    /// The inline forms, each with the tail in which it ends.
    pub(super) const ENDS: [(Self, Self); 3] = [
        (Self::Resume, Self::ResumeTail),
        (Self::Suspend, Self::SuspendTail),
        (Self::Switch, Self::SwitchTail),
    ];

    /// Whether it is a tail: the end of a switch that comes back.
    pub(super) fn is_tail(self) -> bool {
        self == Self::Tail || Self::ENDS.iter().any(|(_, tail)| *tail == self)
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::OutOfLine => "switch out of line",
            Self::Tail => "tail_of_registers",
            Self::ResumeTail => "resume_tail",
            Self::SuspendTail => "suspend_tail",
            Self::SwitchTail => "switch_tail",
            Self::ExitTail => "exit_tail",
            Self::Base => "base",
            Self::Suspended => "suspended",
            Self::Resume => "inline resume",
            Self::Suspend => "inline suspend",
            Self::Switch => "inline switch",
            Self::Leave => "inline leave",
        }
    }

    pub(super) fn is_called(self, symbol: &str) -> bool {
        match self {
            Self::OutOfLine => symbol == "kfiber::context::out_of_line::switch_out_of_line",
            Self::Tail => symbol == "kfiber::context::x86_64::tail_of_registers",
            Self::ResumeTail => symbol == "kfiber::context::x86_64::resume_tail",
            Self::SuspendTail => symbol == "kfiber::context::x86_64::suspend_tail",
            Self::SwitchTail => symbol == "kfiber::context::x86_64::switch_tail",
            Self::ExitTail => symbol == "kfiber::context::x86_64::exit_tail",
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

/// All instructions in these bytes.
pub(super) fn decode(bytes: &[u8], start: u64) -> Vec<Instruction> {
    Decoder::with_ip(64, bytes, start, DecoderOptions::NONE)
        .iter()
        .collect()
}

/// All functions of a program, each once: a weak symbol at the address of another one is a second name.
pub(super) fn all_functions(elf: &object::File<'_>) -> Result<Vec<Piece>> {
    let strong: HashSet<_> = elf
        .symbols()
        .filter(|symbol| !symbol.is_weak())
        .map(|symbol| symbol.address())
        .collect();
    elf.symbols()
        .filter(|symbol| !(symbol.is_weak() && strong.contains(&symbol.address())))
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
