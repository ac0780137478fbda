//! The unwind information (call frame information) of kfiber's functions: for every byte, where the caller's registers
//! are.
//!
//! Debuggers read `.debug_frame`, unwinders inside a program read `.eh_frame`. (DWARF 5, section 6.4.)

use core::ops::Range;
use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use gimli::{
    BaseAddresses, CfaRule, DebugFrame, EhFrame, EndianSlice, FrameDescriptionEntry, LittleEndian,
    Operation, RegisterRule, UnwindContext, UnwindExpression, UnwindSection,
};
use iced_x86::Register;
use object::{Object as _, ObjectSection as _};

use super::machine::State;
use super::part::{Part, Piece};
use super::value::Value;

/// General registers by their number in DWARF; the number after the last is the return address.
const REGISTERS: [Register; 16] = [
    Register::RAX,
    Register::RDX,
    Register::RCX,
    Register::RBX,
    Register::RSI,
    Register::RDI,
    Register::RBP,
    Register::RSP,
    Register::R8,
    Register::R9,
    Register::R10,
    Register::R11,
    Register::R12,
    Register::R13,
    Register::R14,
    Register::R15,
];
const RETURN_ADDRESS: u16 = 16;
/// What a caller has after a call as it had before: rbx, rbp, rsp, r12 to r15, and the place where it goes on.
const KEPT: [u16; 8] = [3, 6, 7, 12, 13, 14, 15, RETURN_ADDRESS];

/// What the caller's registers are. `None` is one that the rules declare unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Caller {
    /// The canonical frame address, by which debuggers tell one frame from another.
    pub(super) cfa: Value,
    pub(super) ip: Option<Value>,
    pub(super) sp: Option<Value>,
    pub(super) rbp: Option<Value>,
    pub(super) rbx: Option<Value>,
    /// `r12` to `r15`.
    pub(super) rest: [Option<Value>; 4],
}

/// Where one register of the caller is.
#[derive(Clone, Debug, PartialEq)]
enum Rule {
    Plain(RegisterRule<usize>),
    /// In the word at a register plus an offset, the only expression that there is a model of.
    At(u16, i64),
}

/// The rules at one address.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    /// A register plus an offset, and whether it is the word there.
    cfa: (u16, i64, bool),
    rules: BTreeMap<u16, Rule>,
}

impl Row {
    /// Computes the caller's registers from the running ones.
    pub(super) fn caller(&self, state: &State) -> Result<Caller, String> {
        let (base, offset, is_loaded) = self.cfa;
        let cfa = register(base, state)?.plus(offset);
        let cfa = if is_loaded { state.load(cfa, 8)? } else { cfa };
        let of = |number: u16| -> Result<Option<Value>, String> {
            Ok(match self.rules.get(&number) {
                Some(Rule::At(base, bytes)) => {
                    Some(state.load(register(*base, state)?.plus(*bytes), 8)?)
                }
                Some(Rule::Plain(RegisterRule::Undefined)) => None,
                Some(Rule::Plain(RegisterRule::SameValue)) => Some(register(number, state)?),
                Some(Rule::Plain(RegisterRule::Offset(bytes))) => {
                    Some(state.load(cfa.plus(*bytes), 8)?)
                }
                Some(Rule::Plain(RegisterRule::Register(other))) => Some(register(other.0, state)?),
                Some(Rule::Plain(rule)) => {
                    return Err(format!("the proof has no model of {rule:?}"));
                }
                // What unwinders take for granted: rsp is the CFA, a callee-saved register is the caller's.
                None if number == 7 => Some(cfa),
                None => Some(register(number, state)?),
            })
        };
        Ok(Caller {
            cfa,
            ip: of(RETURN_ADDRESS)?,
            sp: of(7)?,
            rbp: of(6)?,
            rbx: of(3)?,
            rest: [of(12)?, of(13)?, of(14)?, of(15)?],
        })
    }

    /// Whether the rules say that there is no caller, and nothing else; the frame address is that of a function just
    /// entered.
    pub(super) fn is_end(&self) -> bool {
        let only = BTreeMap::from([(RETURN_ADDRESS, Rule::Plain(RegisterRule::Undefined))]);
        self.rules == only && self.cfa == (7, 8, false)
    }
}

fn register(number: u16, state: &State) -> Result<Value, String> {
    let register = REGISTERS.get(usize::from(number));
    register
        .map(|register| state.get(*register))
        .ok_or_else(|| format!("the rules need register {number}, which holds nothing here"))
}

/// The unwind information of one function in one section.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) part: Part,
    pub(super) section: Section,
    pub(super) start: u64,
    pub(super) is_signal: bool,
    /// The addresses that the rules are for.
    pub(super) covers: Range<u64>,
    /// One for each byte of the function.
    pub(super) rows: Vec<Option<Row>>,
}

impl Table {
    pub(super) fn row(&self, address: u64) -> Result<&Row, String> {
        let row = usize::try_from(address.wrapping_sub(self.start)).ok();
        row.and_then(|row| self.rows.get(row)?.as_ref())
            .ok_or_else(|| format!("no rules in {}", self.section.name()))
    }
}

/// The section that unwind information lies in.
#[derive(Clone, Debug)]
pub(super) struct Section {
    pub(super) is_debug: bool,
    pub(super) bytes: Vec<u8>,
    pub(super) address: u64,
    /// Where the function's entry is in the section, and the common entry that it refers to.
    pub(super) entry: usize,
    pub(super) common: usize,
    pub(super) entry_length: usize,
    pub(super) common_length: usize,
}

impl Section {
    pub(super) const fn name(&self) -> &'static str {
        if self.is_debug {
            ".debug_frame"
        } else {
            ".eh_frame"
        }
    }
}

/// Reads the unwind information of the functions from both sections.
pub(super) fn load(elf: &object::File<'_>, functions: &[Piece]) -> Result<Vec<Table>> {
    let mut tables = Vec::new();
    for is_debug in [false, true] {
        let name = if is_debug {
            ".debug_frame"
        } else {
            ".eh_frame"
        };
        let Some(section) = elf.section_by_name(name) else {
            continue;
        };
        let (data, address) = (section.uncompressed_data()?, section.address());
        for function in functions {
            let found = if is_debug {
                find(&DebugFrame::new(&data, LittleEndian), address, function)
            } else {
                find(&EhFrame::new(&data, LittleEndian), address, function)
            };
            let Some([entry, entry_length, common, common_length]) =
                found.with_context(|| format!("{name} cannot be read"))?
            else {
                continue;
            };
            let section = Section {
                is_debug,
                bytes: data.to_vec(),
                address,
                entry,
                common,
                entry_length,
                common_length,
            };
            tables.push(table(
                section,
                function.part,
                function.start,
                function.bytes.len(),
            )?);
        }
    }
    Ok(tables)
}

type Bytes<'a> = EndianSlice<'a, LittleEndian>;

/// Offset and length of the entry for a function, and those of the common entry.
fn find<'a, S: UnwindSection<Bytes<'a>, Offset: gimli::UnwindOffset<usize>>>(
    section: &S,
    address: u64,
    function: &Piece,
) -> Result<Option<[usize; 4]>> {
    let bases = BaseAddresses::default().set_eh_frame(address);
    let mut entries = section.entries(&bases);
    while let Some(entry) = entries.next()? {
        let gimli::CieOrFde::Fde(entry) = entry else {
            continue;
        };
        let entry = entry.parse(S::cie_from_offset)?;
        // The linker leaves entries of functions that it removed, all at address 0.
        if entry.contains(function.start) && entry.initial_address() != 0 {
            let common = entry.cie();
            return Ok(Some([
                entry.offset(),
                entry.entry_len(),
                common.offset(),
                common.entry_len(),
            ]));
        }
    }
    Ok(None)
}

/// Evaluates the entry of one function.
pub(super) fn table(section: Section, part: Part, start: u64, length: usize) -> Result<Table> {
    let bases = BaseAddresses::default().set_eh_frame(section.address);
    let (is_signal, covers, rows) = if section.is_debug {
        let frames = DebugFrame::new(&section.bytes, LittleEndian);
        let entry =
            frames.fde_from_offset(&bases, section.entry.into(), DebugFrame::cie_from_offset)?;
        rows(&frames, &bases, &entry, start, length)?
    } else {
        let frames = EhFrame::new(&section.bytes, LittleEndian);
        let entry =
            frames.fde_from_offset(&bases, section.entry.into(), EhFrame::cie_from_offset)?;
        rows(&frames, &bases, &entry, start, length)?
    };
    Ok(Table {
        part,
        section,
        start,
        is_signal,
        covers,
        rows,
    })
}

/// The rule, or where the word is that its expression computes the address of.
fn of_row<'a, S: UnwindSection<Bytes<'a>>>(
    section: &S,
    entry: &FrameDescriptionEntry<Bytes<'a>>,
    rule: &RegisterRule<usize>,
) -> Result<Rule> {
    let RegisterRule::Expression(expression) = rule else {
        return Ok(Rule::Plain(rule.clone()));
    };
    Ok(match address(section, entry, expression)? {
        Some((register, offset, false)) => Rule::At(register, offset),
        _ => Rule::Plain(rule.clone()),
    })
}

/// The register and the offset of an expression that is nothing else, and whether it is the word there.
fn address<'a, S: UnwindSection<Bytes<'a>>>(
    section: &S,
    entry: &FrameDescriptionEntry<Bytes<'a>>,
    expression: &UnwindExpression<usize>,
) -> Result<Option<(u16, i64, bool)>> {
    let mut operations = expression.get(section)?.operations(entry.cie().encoding());
    let Some(Operation::RegisterOffset {
        register, offset, ..
    }) = operations.next()?
    else {
        return Ok(None);
    };
    Ok(match operations.next()? {
        None => Some((register.0, offset, false)),
        Some(Operation::Deref {
            size: 8,
            space: false,
            ..
        }) if operations.next()?.is_none() => Some((register.0, offset, true)),
        Some(_) => None,
    })
}

fn rows<'a, S: UnwindSection<Bytes<'a>>>(
    section: &S,
    bases: &BaseAddresses,
    entry: &FrameDescriptionEntry<Bytes<'a>>,
    start: u64,
    length: usize,
) -> Result<(bool, Range<u64>, Vec<Option<Row>>)> {
    let mut rows = vec![None; length];
    let mut context = UnwindContext::new();
    let mut table = entry.rows(section, bases, &mut context)?;
    while let Some(row) = table.next_row()? {
        let cfa = match row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => (register.0, *offset, false),
            CfaRule::Expression(expression) => match address(section, entry, expression)? {
                Some((register, offset, true)) => (register, offset, true),
                _ => continue, // no rules here, as far as the proof is concerned
            },
        };
        let model = Row {
            cfa,
            // All others belong to nobody across a call.
            rules: row
                .registers()
                .filter(|(register, _)| KEPT.contains(&register.0))
                .map(|(register, rule)| Ok((register.0, of_row(section, entry, rule)?)))
                .collect::<Result<_>>()?,
        };
        for (byte, place) in (start..).zip(&mut rows) {
            if row.contains(byte) {
                *place = Some(model.clone());
            }
        }
    }
    let covers = entry.initial_address()..entry.end_address();
    Ok((entry.is_signal_trampoline(), covers, rows))
}
