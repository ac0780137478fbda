//! The beginning of a text that fits into a given number of bytes, in whole characters.

/// Returns the number of bytes of the longest prefix of `text` that has at most `most_bytes` bytes.
///
/// This is `str::floor_char_boundary`, which the oldest compiler that builds this crate lacks.
pub(crate) const fn prefix_bytes(text: &str, most_bytes: usize) -> usize {
    if text.len() <= most_bytes {
        return text.len();
    }
    // Every text has a boundary at 0.
    let mut end = most_bytes;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    end
}

#[cfg(test)]
mod tests {
    use super::prefix_bytes;

    #[test]
    fn a_text_is_cut_between_characters() {
        for (text, most, prefix) in [
            ("", 0, ""),
            ("", 4, ""),
            ("fiber", 5, "fiber"),
            ("fiber", 6, "fiber"),
            ("fiber", 3, "fib"),
            ("fib\u{e9}r", 4, "fib"),
            ("fib\u{e9}r", 5, "fib\u{e9}"),
            ("\u{1f9f5}", 3, ""),
            ("\u{1f9f5}", 4, "\u{1f9f5}"),
        ] {
            assert_eq!(&text[..prefix_bytes(text, most)], prefix, "{text} {most}");
        }
    }
}
