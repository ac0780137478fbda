//! Searches a whole program for what belongs to the switch: its inline copies, and who takes which address.

use anyhow::{Result, bail, ensure};
use iced_x86::Code;
use object::{Object as _, ObjectSection as _};

use super::part::{Part, Piece};

/// Finds the switches of one form that were inlined into a function: each ends in a jump to the tail of its form.
pub(super) fn inline_copies(
    function: &Piece,
    tails: &[u64],
    form: Part,
    has_fp: bool,
    found: &mut Vec<Piece>,
) -> Result<()> {
    let instructions = function.instructions();
    let length = if has_fp { 18 } else { 5 };
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
        let offset = |address: u64| usize::try_from(address - function.start);
        found.push(Piece {
            part: form,
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
