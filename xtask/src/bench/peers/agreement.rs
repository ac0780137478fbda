//! Whether a run says the same as the committed tables of the same processor: two figures agree if their ranges meet.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context as _, Result};

use super::document::RATIOS_HEADING;
use super::rounded::{parse_ranged, ranged};
use super::samples::{Figure, median};

/// What was measured, in the words of the tables: the contender and the shape.
type Titles = (String, String);

/// Two runs, held against each other.
#[derive(Debug)]
pub(super) struct Agreement {
    compared: usize,
    /// By how much the medians differ, in percent: in the middle, and of nine in ten at most.
    middle: f64,
    most: f64,
    apart: Vec<(Titles, Figure, Figure)>,
}

impl Agreement {
    /// Compares all figures that both texts have.
    pub(super) fn of(committed: &str, now: &str) -> Result<Self> {
        let (committed, now) = (ratios(committed)?, ratios(now)?);
        let both: Vec<_> = now
            .into_iter()
            .filter_map(|(titles, now)| Some((committed.get(&titles).copied()?, titles, now)))
            .filter(|(_, _, now)| now.least < now.greatest) // all but the reference, which is 1 by definition
            .collect();
        let difference = |(then, _, now): &(Figure, Titles, Figure)| {
            (now.median / then.median - 1.0).abs() * 100.0
        };
        let mut differences: Vec<_> = both.iter().map(difference).collect();
        differences.sort_by(f64::total_cmp);
        let most = differences.get(differences.len() * 9 / 10).copied();
        let compared = both.len();
        let apart = both.into_iter().filter(|(then, _, now)| !meet(then, now));
        Ok(Self {
            compared,
            middle: median(differences).context("the two runs have no figure in common")?,
            most: most.context("the two runs have no figure in common")?,
            apart: apart
                .map(|(then, titles, now)| (titles, then, now))
                .collect(),
        })
    }
}

const fn meet(one: &Figure, other: &Figure) -> bool {
    one.least <= other.greatest && other.least <= one.greatest
}

impl fmt::Display for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let agreeing = self.compared - self.apart.len();
        write!(
            f,
            "{agreeing} of {} ratios agree with the committed ones: their ranges meet. The medians differ by {:.1} %, nine in \
             ten by {:.1} % at most",
            self.compared, self.middle, self.most
        )?;
        for ((contender, shape), then, now) in &self.apart {
            let (then, now) = (ranged(*then), ranged(*now));
            write!(f, "\n  {contender}, {shape}: {now}, and was {then}")?;
        }
        Ok(())
    }
}

/// The ratios in a file of tables.
fn ratios(text: &str) -> Result<BTreeMap<Titles, Figure>> {
    let (_, section) = text
        .split_once(RATIOS_HEADING)
        .with_context(|| format!("there is no section `{RATIOS_HEADING}`"))?;
    let mut rows = section
        .lines()
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim));
    let titles: Vec<_> = rows.next().context("there is no table")?.skip(1).collect();
    let mut ratios = BTreeMap::new();
    for mut row in rows.skip(1) {
        let shape = row.next().unwrap_or_default();
        for (contender, cell) in titles.iter().zip(row) {
            if !cell.is_empty() {
                let figure = parse_ranged(cell)
                    .with_context(|| format!("`{cell}` is no figure with its range"))?;
                ratios.insert(((*contender).to_owned(), shape.to_owned()), figure);
            }
        }
    }
    Ok(ratios)
}

#[cfg(test)]
mod tests {
    use super::{Agreement, RATIOS_HEADING};

    fn text(rows: &str) -> String {
        format!(
            "# Something\n\n| a | b |\n|---|\n| x | 7 |\n{RATIOS_HEADING}\n\nWords.\n\n| | kfiber | other |\n|---|---:|---:|\n\
             {rows}\n\n## More\n\n| x | 3 |\n"
        )
    }

    #[test]
    fn a_run_agrees_with_itself() {
        let text = text("| one | 1.50 (1.40–1.60) | 1.00 (1.00–1.00) |\n| two | 120 (110–130) | |");
        let agreement = Agreement::of(&text, &text).expect("good tables");
        assert!(agreement.apart.is_empty());
        assert!(
            agreement.to_string().starts_with("2 of 2 ratios agree"),
            "{agreement}"
        );
        assert!(
            agreement.to_string().contains("differ by 0.0 %"),
            "{agreement}"
        );
    }

    #[test]
    fn figures_agree_if_their_ranges_meet() {
        let then = text("| one | 1.50 (1.40–1.60) | |\n| two | 2.00 (1.90–2.10) | |");
        let now = text("| one | 1.65 (1.60–1.70) | |\n| two | 2.20 (2.11–2.30) | |");
        let agreement = Agreement::of(&then, &now).expect("good tables").to_string();
        assert!(agreement.starts_with("1 of 2 ratios agree"), "{agreement}");
        assert!(
            agreement.ends_with("\n  kfiber, two: 2.20 (2.11–2.30), and was 2.00 (1.90–2.10)"),
            "{agreement}"
        );
    }

    #[test]
    fn what_only_one_has_is_left_out() {
        let then = text("| one | 1.50 (1.40–1.60) | |\n| gone | 1.50 (1.40–1.60) | |");
        let now =
            text("| one | 1.50 (1.40–1.60) | 3.00 (2.00–4.00) |\n| new | 1.50 (1.40–1.60) | |");
        let agreement = Agreement::of(&then, &now).expect("good tables").to_string();
        assert!(agreement.starts_with("1 of 1 ratios agree"), "{agreement}");
    }

    #[test]
    fn what_is_no_table_is_an_error() {
        let good = text("| one | 1.50 (1.40–1.60) | |");
        drop(Agreement::of("# Something else", &good).expect_err("no section"));
        let bad = text("| one | 1.50 | |");
        let error = Agreement::of(&bad, &good).expect_err("no range");
        assert!(error.to_string().contains("`1.50` is no figure"), "{error}");
        let other = text("| another | 1.50 (1.40–1.60) | |");
        let error = Agreement::of(&other, &good).expect_err("nothing to compare");
        assert!(error.to_string().contains("no figure in common"), "{error}");
    }
}
