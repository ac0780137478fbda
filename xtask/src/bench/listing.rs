//! What `bench --listing` prints: the instructions of an operation in the order in which they run, in whatever fiber.
//!
//! The kernel executes the operation once in single steps and prints where it was. That is a second count of the same
//! thing, so it must come to the same.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use iced_x86::{Decoder, DecoderOptions, Formatter as _, Instruction, IntelFormatter, Mnemonic};
use object::{Object as _, ObjectSection as _};

use super::figures::Figures;
use crate::kernel::symbolize::Symbols;
use crate::{console, workspace};

/// Prints the instructions of an operation.
pub(super) fn print(kernel: &Path, operation: &str, serial: &str) -> Result<()> {
    let figures = Figures::parse(serial)?;
    let reading = figures.reading(operation).with_context(|| {
        format!(
            "the operations are: {}",
            figures.names().collect::<Vec<_>>().join(" ")
        )
    })?;
    let symbols = Symbols::load(kernel, workspace::root())?;
    let instructions = region(kernel, serial)?;
    let mut formatter = IntelFormatter::new();
    let mut last = String::new();
    for (index, instruction) in instructions.iter().enumerate() {
        let place = symbols.innermost(instruction.ip());
        let mut text = String::new();
        formatter.format(instruction, &mut text);
        let shown = if place == last { "" } else { &*place };
        println!("{index:5}  {:8x}  {text:<44}  {shown}", instruction.ip());
        last = place;
    }
    let count = instructions.len() as u64;
    println!(
        "\n{operation}: {} instructions for {} operations, {:.2} each (and {} for the readings themselves)",
        reading.net,
        reading.operations,
        reading.each(),
        reading.raw - reading.net
    );
    match reading.raw.checked_sub(count) {
        Some(0) => Ok(()),
        Some(hidden) if operation.starts_with("interrupt") => {
            console::loud(format!(
                "{hidden} more are the interrupt's entry, handler and exit, where single steps are off"
            ));
            Ok(())
        }
        _ => bail!(
            "single steps count {count}, but the counter {}",
            reading.raw
        ),
    }
}

/// From the first reading of the counter to before the last. (What is measured may look at the clock in between.)
fn region(kernel: &Path, serial: &str) -> Result<Vec<Instruction>> {
    let data = fs::read(kernel)?;
    let elf = object::File::parse(&*data)?;
    let text = elf.section_by_name(".text").context("no text")?;
    let bytes = text.data()?;
    let decode = |address: u64| {
        let offset = address.saturating_sub(text.address());
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = bytes.get(offset..).unwrap_or_default();
        Decoder::with_ip(64, rest, address, DecoderOptions::NONE).decode()
    };
    let mut all: Vec<Instruction> = Vec::new();
    for line in serial.lines() {
        let Some(address) = line.strip_prefix("step 0x") else {
            continue;
        };
        let address = u64::from_str_radix(address.trim_end(), 16)?;
        // QEMU does not stop between `sti` and the instruction after it.
        let last = all.last().filter(|last| last.mnemonic() == Mnemonic::Sti);
        if let Some(hidden) = last
            .map(Instruction::next_ip)
            .filter(|next| *next != address)
        {
            all.push(decode(hidden));
        }
        all.push(decode(address));
    }
    let is_reading = |instruction: &Instruction| instruction.mnemonic() == Mnemonic::Rdtsc;
    let first = all.iter().position(is_reading);
    let last = all.iter().rposition(is_reading);
    let region = first.zip(last).filter(|(first, last)| first < last);
    let (first, last) = region.with_context(|| {
        format!(
            "no two readings of the counter among {} single steps: this operation is not measured in one region",
            all.len()
        )
    })?;
    Ok(all[first..last].to_vec())
}
