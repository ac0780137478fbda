//! What of gdb's answers is the same in each run.

use std::sync::LazyLock;

use regex::Regex;

/// What differs, and what stands for it.
static DIFFERENT: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let rules = [
        (r"::h[0-9a-f]{16}", ""),
        (r"0x[0-9a-f]+", "0xADDRESS"),
        (r"/rustc/[0-9a-f]{40}/", "/rustc/"),
        (r"process \d+", "process N"),
        (r"\b[0-9a-f]{5,}\.(\d+)\)", "ADDRESS.$1)"),
        (r"\b\d+\.\d{3} s", "TIME s"),
        (r"\d+ of (\d{4,})", "N of $1"),
        (r"(?m)^#\d+ +(?:0xADDRESS in )?", "#N "),
        // Where the library's switch stands is no matter of these sessions.
        (
            r"(kfiber::context::x86_64::switch) \(.*\) at .*\n\d+\t +asm!\(",
            "$1",
        ),
        (r"  +", "  "),
        (r" +(?m:$)", ""),
    ];
    let compile = |(pattern, text)| (Regex::new(pattern).expect("it is one"), text);
    rules.into_iter().map(compile).collect()
});

/// The lines between the marks that the sessions print, which are the answers to commands of kfiber.
pub(super) fn without_what_differs(output: &str) -> String {
    let begin = output.find("=== ").unwrap_or(0);
    let mut text = output[begin..].to_owned();
    for (pattern, replacement) in &*DIFFERENT {
        text = pattern.replace_all(&text, *replacement).into_owned();
    }
    text
}

/// The lines that only one of two texts has, in order.
pub(super) fn difference<'a>(expected: &'a str, found: &'a str) -> Vec<String> {
    let only = |sign: char, lines: &'a str, other: &str| {
        let missing = lines
            .lines()
            .filter(|line| !other.lines().any(|each| each == *line));
        missing
            .map(|line| format!("{sign} {line}"))
            .collect::<Vec<_>>()
    };
    let mut lines = only('-', expected, found);
    lines.extend(only('+', found, expected));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_times_and_sizes_do_not_matter() {
        let one = "=== a\n1  x (1f00c0.1)  400 of 65536  since t = 0.100 s at 0x12";
        let other = "noise\n=== a\n1  x (2f00c0.1)    4000 of 65536  since t = 12.345 s at 0x999";
        assert_eq!(without_what_differs(one), without_what_differs(other));
    }

    #[test]
    fn names_and_states_matter() {
        let one = without_what_differs("=== a\n1  x  waiting");
        let other = without_what_differs("=== a\n1  x  ready");
        assert_eq!(
            difference(&one, &other),
            ["- 1  x  waiting", "+ 1  x  ready"]
        );
    }
}
