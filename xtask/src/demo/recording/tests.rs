//! The writer of the picture, and the picture that is committed.

use super::*;

fn line(at: u64, text: &str) -> Line {
    let text = text.to_owned();
    Line { at, text }
}

/// Takes a picture apart again.
fn read(svg: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut at = 0;
    for row in svg.lines() {
        if let Some(rest) = row.strip_prefix("<g class=\"b\" style=\"animation-delay:") {
            at = rest.trim_end_matches("ms\">").parse().expect("a time");
        }
        if let Some(text) = row
            .strip_prefix("<text")
            .and_then(|row| row.strip_suffix("</text>"))
        {
            let (_, text) = text.split_once("\">").expect("the end of the tag");
            let text = text.replace("&gt;", ">").replace("&lt;", "<");
            lines.push(line(at, &text.replace("&amp;", "&")));
        }
    }
    lines
}

#[test]
fn the_committed_picture_is_what_the_writer_makes_of_its_own_lines_and_times() {
    let file = crate::workspace::root().join(COMMITTED);
    let committed = std::fs::read_to_string(file).expect("the picture is there");
    let lines = read(&committed);
    assert!(lines.len() > ROWS, "{} lines", lines.len());
    assert!(
        svg(&lines) == committed,
        "another writer made {COMMITTED}: `cargo xtask demo --record {COMMITTED}` makes it again"
    );
    assert!(committed.len() < 100_000, "{} bytes", committed.len());
    let shown = commands_of(&committed);
    assert_eq!(
        (shown.first(), shown.last()),
        (Some(&"help"), Some(&"exit"))
    );
}

#[test]
fn a_fixed_transcript_becomes_a_picture_with_its_lines_times_and_last_frame() {
    let mut transcript = vec![
        line(0, "> a < b & c"),
        line(39, "together"),
        line(40, "later"),
    ];
    transcript.extend((0..ROWS as u64).map(|n| line(1_000 + n, "filler")));
    let picture = svg(&transcript);
    for piece in [
        "<g class=\"b\" style=\"animation-delay:0ms\">\n\
         <text class=\"p\" y=\"18\">&gt; a &lt; b &amp; c</text>\n\
         <text y=\"36\">together</text>\n</g>\n\
         <g class=\"b\" style=\"animation-delay:40ms\">\n<text y=\"54\">later</text>\n</g>\n",
        "0.000%{transform:translateY(-0px)}\n4.000%{transform:translateY(-0px)}\n\
         100.000%{transform:translateY(-54px)}\n",
        ".s{transform:translateY(-54px);animation:kfiber-demo-scroll 1000ms step-end both}",
    ] {
        assert!(picture.contains(piece), "{piece}\nis not in\n{picture}");
    }
    assert_eq!(svg(&read(&picture)), picture);
    let (_, comment) = picture.split_once("<!--").expect("a comment");
    let (comment, _) = comment.split_once("-->").expect("its end");
    assert!(
        !comment.contains("--"),
        "XML forbids it in a comment: {comment}"
    );
}

#[test]
fn a_long_line_goes_on_in_the_next_row_and_an_empty_one_has_a_row() {
    let text = "x".repeat(COLUMNS + 1);
    let rows = rows(&[line(0, &text), line(0, ""), line(0, "\x1b[31mred\x1b[0m ")]);
    let texts: Vec<_> = rows.iter().map(|row| &*row.text).collect();
    assert_eq!(texts, [&text[1..], "x", "", "red"]);
}

#[test]
fn a_command_waits_for_the_reader_of_what_came_before() {
    let lines = [
        line(0, "hello"),
        line(1, "> a"),
        line(2, "b"),
        line(3, "> c"),
    ];
    let paced: Vec<_> = with_pauses(&lines).iter().map(|line| line.at).collect();
    assert_eq!(paced, [0, 601, 602, 1_303]);
}

#[test]
fn commands_are_those_of_the_picture() {
    let picture = svg(&[line(0, "> ps"), line(1, "a > b"), line(2, "> exit")]);
    assert_eq!(commands_of(&picture), ["ps", "exit"]);
    assert_eq!(commands("> ps\na > b\n> exit\n"), ["ps", "exit"]);
}
