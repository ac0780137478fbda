//! The demo as a moving picture: lines with their times become an SVG that any browser plays, once, without a script.

#[cfg(test)]
mod tests;

use std::fmt::Write as _;

/// The picture that the README shows.
pub(crate) const COMMITTED: &str = "docs/demo.svg";
/// How a line begins with which the demo's shell asks for a command.
const PROMPT: &str = "> ";

/// The screen, in characters. Longer lines continue on the next row.
const COLUMNS: usize = 112;
const ROWS: usize = 32;
/// Sizes in pixels.
const CHARACTER: usize = 8;
const ROW: usize = 18;
const MARGIN: usize = 14;

/// Lines that come within so many milliseconds are shown together.
const TOGETHER: u64 = 40;
/// A reader gets so many milliseconds before each command, and so many for each line since the last one.
const PAUSE: u64 = 500;
const PAUSE_FOR_LINE: u64 = 100;
const LONGEST_PAUSE: u64 = 2_500;

/// A line of the screen, and when it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// Milliseconds since the first line.
    pub(crate) at: u64,
    /// What it says, without its line break.
    pub(crate) text: String,
}

/// The commands that were typed, of lines as the demo prints them.
pub(crate) fn commands(printed: &str) -> Vec<&str> {
    let typed = |line| str::strip_prefix(line, PROMPT);
    printed.lines().filter_map(typed).collect()
}

/// The commands that a picture shows.
pub(crate) fn commands_of(svg: &str) -> Vec<&str> {
    let shown = |line| {
        let text = str::strip_prefix(line, "<text class=\"p\" y=\"")?;
        text.split_once("\">&gt; ")?.1.strip_suffix("</text>")
    };
    svg.lines().filter_map(shown).collect()
}

/// Adds what a reader needs to the times of a machine, which types as fast as it runs.
pub(crate) fn with_pauses(lines: &[Line]) -> Vec<Line> {
    let mut added = 0;
    let mut since_command = 0;
    let paced = lines.iter().map(|line| {
        if line.text.starts_with(PROMPT) {
            added += (PAUSE + PAUSE_FOR_LINE * since_command).min(LONGEST_PAUSE);
            since_command = 0;
        }
        since_command += 1;
        Line {
            at: line.at + added,
            text: line.text.clone(),
        }
    });
    paced.collect()
}

/// The picture. Without animation, or where a reader asked for less motion, it is its last frame.
pub(crate) fn svg(lines: &[Line]) -> String {
    let rows = rows(lines);
    let width = COLUMNS * CHARACTER;
    // The letters of the last row reach below its line.
    let height = ROWS * ROW + ROW / 3;
    let end = rows.last().map_or(0, |row| row.at).max(1);
    let mut scroll = String::new();
    let mut screen = String::new();
    for burst in rows.chunk_by(|one, next| one.at == next.at) {
        let at = burst[0].at;
        let first = screen.matches("<text").count();
        let _ = writeln!(screen, "<g class=\"b\" style=\"animation-delay:{at}ms\">");
        for (index, row) in burst.iter().enumerate() {
            let class = if row.text.starts_with(PROMPT) {
                " class=\"p\""
            } else {
                ""
            };
            let y = (first + index + 1) * ROW;
            let _ = writeln!(
                screen,
                "<text{class} y=\"{y}\">{}</text>",
                escape(&row.text)
            );
        }
        screen += "</g>\n";
        let _ = writeln!(
            scroll,
            "{:.3}%{{transform:translateY(-{}px)}}",
            at as f64 * 100.0 / end as f64,
            (first + burst.len()).saturating_sub(ROWS) * ROW
        );
    }
    let last = rows.len().saturating_sub(ROWS) * ROW;
    let (outer_width, outer_height) = (width + 2 * MARGIN, height + 2 * MARGIN);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {outer_width} {outer_height}\" \
         width=\"{outer_width}\" height=\"{outer_height}\" id=\"kfiber-demo\" style=\"max-width:100%;height:auto\" role=\"img\" \
         aria-label=\"A recording of the demo kernel's shell in QEMU\">
<!-- Written by `cargo xtask demo` and its option `record`. The times are those of the run, with pauses before the commands. -->
<style>
#kfiber-demo text{{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:#c9d1d9;white-space:pre}}
#kfiber-demo .p{{fill:#7ee787;font-weight:bold}}
#kfiber-demo .b{{animation:kfiber-demo-show 1ms both}}
#kfiber-demo .s{{transform:translateY(-{last}px);animation:kfiber-demo-scroll {end}ms step-end both}}
@keyframes kfiber-demo-show{{from{{visibility:hidden}}to{{visibility:visible}}}}
@keyframes kfiber-demo-scroll{{
{scroll}}}
@media (prefers-reduced-motion:reduce){{#kfiber-demo .b,#kfiber-demo .s{{animation:none}}}}
</style>
<rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#0d1117\"/>
<svg x=\"{MARGIN}\" y=\"{MARGIN}\" width=\"{width}\" height=\"{height}\" xml:space=\"preserve\">
<g class=\"s\">
{screen}</g>
</svg>
</svg>
"
    )
}

/// The rows of the screen: long lines are cut, and what came together has one time.
fn rows(lines: &[Line]) -> Vec<Line> {
    let mut rows: Vec<Line> = Vec::new();
    for line in lines {
        let at = match rows.last() {
            Some(last) if line.at < last.at + TOGETHER => last.at,
            _ => line.at,
        };
        let text = anstream::adapter::strip_str(line.text.trim_end()).to_string();
        let letters: Vec<_> = text.chars().collect();
        let mut rest = &*letters;
        loop {
            let is_space = |letter: &char| *letter == ' ';
            let cut = match rest.get(..COLUMNS) {
                Some(row) if rest.len() > COLUMNS => row
                    .iter()
                    .rposition(is_space)
                    .map_or(COLUMNS, |space| space + 1),
                _ => rest.len(),
            };
            let (row, after) = rest.split_at(cut);
            let text = String::from_iter(row).trim_end().to_owned();
            rows.push(Line { at, text });
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
    }
    rows
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
