//! The names of the processor's exceptions.

/// Returns the exception's name as the manuals have it, for instance `#PF`.
#[must_use]
pub fn name(vector: u64) -> &'static str {
    const NAMES: [&str; 32] = [
        "#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "#9", "#TS", "#NP", "#SS",
        "#GP", "#PF", "#15", "#MF", "#AC", "#MC", "#XM", "#VE", "#CP", "#22", "#23", "#24", "#25",
        "#26", "#27", "#HV", "#VC", "#SX", "#31",
    ];
    let index = usize::try_from(vector).unwrap_or(usize::MAX);
    NAMES.get(index).copied().unwrap_or("interrupt")
}
