//! What `prove --listing` prints: the assembly as it was built, with its instruction counts.

use super::part::{Part, Piece};
use super::specimen::Specimen;
use super::walk::text;

/// Prints every function, and one inline copy of each form.
pub(super) fn print(name: &str, specimen: &Specimen) {
    let first_copy = |part| specimen.copies.iter().find(move |piece| piece.part == part);
    let copies = [Part::Resume, Part::Suspend, Part::Switch]
        .into_iter()
        .filter_map(first_copy);
    for piece in specimen.functions.iter().chain(copies) {
        print_piece(name, piece);
    }
}

fn print_piece(name: &str, piece: &Piece) {
    let instructions = piece.instructions();
    println!(
        "{name}: {}, in {}: {} instructions, {} bytes",
        piece.part.name(),
        piece.function,
        instructions.len(),
        piece.bytes.len()
    );
    for instruction in &instructions {
        println!("  {:8x}  {}", instruction.ip(), text(instruction));
    }
    println!();
}
