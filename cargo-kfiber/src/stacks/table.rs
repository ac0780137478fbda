//! The table of stacks, from what a kernel printed about them, and the comparison with an older table.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context as _, Result};

use kfiber_test::protocol::STACK;

/// The smallest stack that the library accepts, and what its size must be a multiple of.
const SMALLEST: u64 = 1024;
const STEP: u64 = 128;
/// At least this is suggested beyond what was used.
const RESERVE: u64 = 512;

/// One stack, or several of one name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Stack {
    count: u64,
    size: u64,
    used: u64,
}

/// All stacks of one run.
#[derive(Debug)]
pub struct Table {
    stacks: BTreeMap<String, Stack>,
}

impl Table {
    /// Takes the lines `stack used=N size=N NAME` from what a kernel printed.
    ///
    /// # Errors
    ///
    /// Fails if such a line has no number where one must be.
    pub fn parse(serial: &str) -> Result<Self> {
        let mut stacks: BTreeMap<String, Stack> = BTreeMap::new();
        for line in serial.lines() {
            let Some(rest) = line
                .trim_end()
                .strip_prefix(STACK)
                .and_then(|rest| rest.strip_prefix(" used="))
            else {
                continue;
            };
            let (used, rest) = rest.split_once(" size=").context("no size")?;
            let (size, name) = rest.split_once(' ').unwrap_or((rest, ""));
            let number = |text: &str| {
                text.parse::<u64>()
                    .with_context(|| format!("`{line}` has no number where one must be"))
            };
            let stack = stacks.entry(name.to_owned()).or_default();
            stack.count += 1;
            stack.used = stack.used.max(number(used)?);
            // Of different sizes the smallest is what must suffice.
            let size = number(size)?;
            stack.size = if stack.size == 0 {
                size
            } else {
                stack.size.min(size)
            };
        }
        Ok(Self { stacks })
    }

    /// Whether the kernel printed nothing about its stacks.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.stacks.is_empty()
    }

    /// The table as Markdown.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = "| fiber | stacks | size | used | head-room | suggestion |\n".to_owned();
        text.push_str("|---|---:|---:|---:|---:|---:|\n");
        for (name, stack) in &self.stacks {
            let Stack { count, size, used } = stack;
            let _ = writeln!(
                text,
                "| `{name}` | {count} | {size} | {used} | {} % | {} |",
                (size - used) * 100 / size,
                suggestion(*used)
            );
        }
        text
    }

    /// What is used more than an older table says.
    #[must_use]
    pub fn regressions(&self, committed: &str) -> Vec<String> {
        let before = used(committed);
        let mut regressions = Vec::new();
        for (name, stack) in &self.stacks {
            match before.get(name.as_str()) {
                None => regressions.push(format!("`{name}` is new, and uses {} bytes", stack.used)),
                Some(before) if stack.used > *before => regressions.push(format!(
                    "`{name}` uses {} bytes of its stack, and used {before}",
                    stack.used
                )),
                Some(_) => {}
            }
        }
        let gone = before
            .keys()
            .filter(|name| !self.stacks.contains_key(**name));
        regressions.extend(gone.map(|name| format!("`{name}` is gone: nobody measures it")));
        regressions
    }
}

/// A size for a stack of which this was used.
fn suggestion(used: u64) -> u64 {
    (used + RESERVE.max(used / 4))
        .max(SMALLEST)
        .next_multiple_of(STEP)
}

/// Name and use in the lines of a committed table.
fn used(committed: &str) -> BTreeMap<&str, u64> {
    let lines = committed.lines().filter(|line| line.starts_with("| `"));
    lines
        .filter_map(|line| {
            let mut cells = line.split('|').map(str::trim).skip(1);
            let name = cells.next()?.trim_matches('`');
            Some((name, cells.nth(2)?.parse().ok()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERIAL: &str = "\
> exit
stack used=700 size=16384 Hypatia
stack used=900 size=16384 the long one
stack used=650 size=8192 Hypatia
stack used=8000 size=8192 
";

    fn table(serial: &str) -> Table {
        Table::parse(serial).expect("well-formed")
    }

    #[test]
    fn of_several_stacks_of_one_name_the_deepest_use_and_the_smallest_size_count() {
        let text = table(SERIAL).text();
        assert!(
            text.contains("| `Hypatia` | 2 | 8192 | 700 | 91 % | 1280 |"),
            "{text}"
        );
        assert!(
            text.contains("| `the long one` | 1 | 16384 | 900 | 94 % | 1536 |"),
            "{text}"
        );
        assert!(
            text.contains("| `` | 1 | 8192 | 8000 | 2 % | 10112 |"),
            "{text}"
        );
    }

    #[test]
    fn a_table_is_no_regression_of_itself_and_less_is_none_either() {
        let committed = table(SERIAL).text();
        assert!(table(SERIAL).regressions(&committed).is_empty());
        let less = SERIAL.replace("used=900", "used=800");
        assert!(table(&less).regressions(&committed).is_empty());
    }

    #[test]
    fn a_stack_that_is_used_more_is_named_with_both_figures() {
        let committed = table(SERIAL).text();
        let more = SERIAL.replace("used=900", "used=908");
        assert_eq!(
            table(&more).regressions(&committed),
            ["`the long one` uses 908 bytes of its stack, and used 900"]
        );
    }

    #[test]
    fn a_stack_that_came_or_went_is_named() {
        let committed = table(SERIAL).text();
        let other = SERIAL.replace("the long one", "another");
        assert_eq!(
            table(&other).regressions(&committed),
            [
                "`another` is new, and uses 900 bytes",
                "`the long one` is gone: nobody measures it"
            ]
        );
    }
}
