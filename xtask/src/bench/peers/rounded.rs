//! How figures are written, and read again.

use super::samples::Figure;

/// The median, and the range after it.
pub(super) fn ranged(figure: Figure) -> String {
    format!(
        "{} ({}–{})",
        short(figure.median),
        short(figure.least),
        short(figure.greatest)
    )
}

/// What [`ranged`] wrote.
pub(super) fn parse_ranged(text: &str) -> Option<Figure> {
    let (median, range) = text.strip_suffix(')')?.split_once(" (")?;
    let (least, greatest) = range.split_once('–')?;
    Some(Figure {
        median: median.parse().ok()?,
        least: least.parse().ok()?,
        greatest: greatest.parse().ok()?,
    })
}

/// Three digits or a few more.
pub(super) fn short(value: f64) -> String {
    match value {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
