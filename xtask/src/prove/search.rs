//! Searches a whole program for what belongs to the switch: its inline copies, and who takes which address.

use anyhow::{Context as _, Result, bail, ensure};
use iced_x86::{Code, Instruction, OpKind, Register};
use object::{Object as _, ObjectSection as _};

use super::part::{Part, Piece};

/// Finds the switches that were inlined into a function: each ends in a jump to `tail`, or, if it is one
/// between fibers of a scheduler, to `switch_tail`.
pub(super) fn inline_copies(
    function: &Piece,
    tails: &[u64],
    is_switch: bool,
    has_fp: bool,
    found: &mut Vec<Piece>,
) -> Result<()> {
    let instructions = function.instructions();
    // `switch_tail` loads all but the stack pointer itself.
    let length = if has_fp { 22 } else { 9 } - if is_switch { 3 } else { 0 };
    for (position, jump) in instructions.iter().enumerate() {
        if !jump.is_jmp_short_or_near() || !tails.contains(&jump.near_branch_target()) {
            continue;
        }
        let place = format!("{} at {:#x}", function.function, jump.ip());
        let copy = position
            .checked_sub(length)
            .and_then(|start| instructions.get(start..position + 2));
        let Some(copy) = copy else {
            bail!("{place}: a jump to a tail without a switch around it");
        };
        let lea = &copy[0];
        ensure!(
            lea.code() == Code::Lea_r64_m && lea.ip_rel_memory_address() == jump.next_ip(),
            "{place}: a jump to a tail without `lea` of the landing {length} instructions before it"
        );
        let (start, end) = (lea.ip(), copy[length + 1].next_ip());
        let part = kind(copy, if has_fp { 64 } else { 32 }).with_context(|| place.clone())?;
        ensure!(
            (part == Part::Switch) == is_switch,
            "{place}: {} jumps to the tail of another form",
            part.name()
        );
        let offset = |address: u64| usize::try_from(address - function.start);
        found.push(Piece {
            part,
            function: function.function.clone(),
            start,
            bytes: function.bytes[offset(start)?..offset(end)?].to_vec(),
        });
    }
    Ok(())
}

/// Finds the switches for good that were inlined into a function: each ends in a jump to
/// `exit_tail`.
pub(super) fn inline_leaves(
    function: &Piece,
    exit_tails: &[u64],
    has_fp: bool,
    found: &mut Vec<Piece>,
) -> Result<()> {
    let instructions = function.instructions();
    let length = if has_fp { 6 } else { 4 };
    for (position, jump) in instructions.iter().enumerate() {
        if !jump.is_jmp_short_or_near() || !exit_tails.contains(&jump.near_branch_target()) {
            continue;
        }
        let start = position.checked_sub(length).map(|at| instructions[at].ip());
        let Some(start) = start else {
            bail!(
                "{} at {:#x}: a jump to `exit_tail` without a switch around it",
                function.function,
                jump.ip()
            );
        };
        let offset = |address: u64| usize::try_from(address - function.start);
        found.push(Piece {
            part: Part::Leave,
            function: function.function.clone(),
            start,
            bytes: function.bytes[offset(start)?..offset(jump.next_ip())?].to_vec(),
        });
    }
    Ok(())
}

/// Tells the three inline forms apart by the blocks and contexts that their first load and first store use.
fn kind(copy: &[Instruction], own: u64) -> Result<Part> {
    let context = |i: &Instruction| (i.memory_base(), i.memory_displacement64().wrapping_sub(16));
    let is_move = |i: &&Instruction| matches!(i.code(), Code::Mov_r64_rm64 | Code::Mov_rm64_r64);
    let load = copy
        .iter()
        .filter(is_move)
        .find(|i| i.op1_kind() == OpKind::Memory);
    let store = copy
        .iter()
        .filter(is_move)
        .find(|i| i.op0_kind() == OpKind::Memory);
    let (Some(load), Some(store)) = (load, store) else {
        bail!("it loads or stores nothing");
    };
    match (context(store), context(load)) {
        ((Register::RSI, 0), (Register::RSI, next)) if next == own => Ok(Part::Resume),
        ((Register::RSI, prev), (Register::RSI, 0)) if prev == own => Ok(Part::Suspend),
        ((Register::RSI, prev), (Register::R10, next)) if prev == own && next == own => {
            Ok(Part::Switch)
        }
        ((to, prev), (from, next)) => bail!(
            "no known form of the switch: it saves to {to:?}+{prev:#x} and loads from {from:?}+{next:#x}"
        ),
    }
}

/// Finds who takes the address of `base` or `suspended`: it must be "one byte past the beginning", for the unwinders' sake.
pub(super) fn addresses_taken(all: &[Piece], functions: &[Piece]) -> Result<Vec<Part>> {
    let mut taken = Vec::new();
    let targets = functions
        .iter()
        .filter(|piece| matches!(piece.part, Part::Base | Part::Suspended));
    for target in targets {
        for function in all {
            for i in function.instructions() {
                let address = i.memory_displacement64();
                if i.code() == Code::Lea_r64_m && (target.start..target.end()).contains(&address) {
                    ensure!(
                        address == target.start + 1,
                        "{} at {:#x} takes the address {address:#x}, not that of the second byte of `{}`",
                        function.function,
                        i.ip(),
                        target.part.name()
                    );
                    taken.push(target.part);
                }
            }
        }
    }
    Ok(taken)
}

/// Looks at the code that has no symbol, byte by byte, for a jump or a call to a tail.
///
/// Where there are symbols, instructions were decoded; to look at their bytes too would take numbers for jumps.
pub(super) fn nothing_overlooked(
    elf: &object::File<'_>,
    ends: &[u64],
    all: &[Piece],
) -> Result<()> {
    for section in elf.sections() {
        if section.kind() != object::SectionKind::Text {
            continue;
        }
        for (address, bytes) in (section.address()..).zip(section.data()?.windows(5)) {
            let [0xe8 | 0xe9, distance @ ..] = bytes else {
                continue;
            };
            let distance = i32::from_le_bytes(distance.try_into()?);
            let is_to_end = ends.contains(&(address + 5).wrapping_add_signed(distance.into()));
            let is_decoded = || {
                all.iter()
                    .any(|piece| (piece.start..piece.end()).contains(&address))
            };
            ensure!(
                !is_to_end || is_decoded(),
                "the code at {address:#x} goes to a tail, and is in no function with a symbol"
            );
        }
    }
    Ok(())
}
