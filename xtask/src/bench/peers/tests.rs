//! Tests of the statistics, of the aims, of the tables and of the picture, all from samples made up here.

use super::aims;
use super::document::{Conditions, Document, smallest_text};
use super::plot;
use super::program::{Effort, builds};
use super::samples::{Samples, median};

/// Three repetitions in which the machine is once, twice and ten times as slow, the same for everybody.
fn printed(figures: &[(&str, &str, f64)]) -> String {
    let mut text = String::new();
    for (repetition, slowness) in [1.0, 2.0, 10.0].into_iter().enumerate() {
        text += &format!("clock {repetition} {}\n", 4.0 / slowness);
        for (contender, shape, nanoseconds) in figures {
            let time = nanoseconds * slowness;
            text += &format!("sample {repetition} {contender} {shape} {time}\n");
        }
    }
    text + "verified\n"
}

fn samples(processes: &[&[(&str, &str, f64)]]) -> Samples {
    let mut samples = Samples::default();
    for figures in processes {
        samples
            .add_process(&printed(figures))
            .expect("good samples");
    }
    samples
}

const GOOD: &[(&str, &str, f64)] = &[
    ("corosensei", "inlined", 2.0),
    ("corosensei", "both_1_deep", 15.0),
    ("corosensei", "create", 3.0),
    ("kfiber", "inlined", 1.2),
    ("kfiber", "yield_1_deep", 2.3),
    ("kfiber", "yield_3_deep", 3.0),
    ("kfiber", "resume_1_deep", 2.4),
    ("kfiber", "both_1_deep", 15.0),
    ("kfiber", "create", 2.6),
    ("kfiber", "yield_now_64", 2.1),
    ("kfiber", "yield_now_1000", 2.5),
    ("kfiber", "yield_now_100000", 11.0),
    ("kfiber-fp", "inlined", 6.0),
    ("boost", "inlined", 9.0),
];

#[test]
fn the_median_is_the_middle_one() {
    assert_eq!(median(vec![]), None);
    assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
    assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
}

#[test]
fn a_machine_that_is_slow_at_times_does_not_change_a_ratio() {
    let samples = samples(&[GOOD]);
    let figure = samples.ratio(("kfiber", "inlined"), ("corosensei", "inlined"));
    let figure = figure.expect("both were measured");
    assert!((figure.median - 0.6).abs() < 1e-9, "{figure:?}");
    assert!((figure.greatest - figure.least).abs() < 1e-9, "{figure:?}");
    let cycles = samples.cycles(("kfiber", "inlined")).expect("measured");
    assert!(
        (cycles.median - 4.8).abs() < 1e-9,
        "1.2 ns at 4 GHz: {cycles:?}"
    );
}

#[test]
fn processes_that_differ_are_shown_by_the_range() {
    let other = [("corosensei", "inlined", 2.0), ("kfiber", "inlined", 1.6)];
    let third = [("corosensei", "inlined", 2.0), ("kfiber", "inlined", 1.3)];
    let samples = samples(&[GOOD, &other, &third]);
    let figure = samples.ratio(("kfiber", "inlined"), ("corosensei", "inlined"));
    let figure = figure.expect("both were measured");
    for (is, expected) in [
        (figure.least, 0.6),
        (figure.median, 0.65),
        (figure.greatest, 0.8),
    ] {
        assert!((is - expected).abs() < 1e-9, "{figure:?}");
    }
}

#[test]
fn a_repetition_that_only_one_of_the_two_has_does_not_count() {
    let mut text = printed(&[("corosensei", "inlined", 2.0), ("kfiber", "inlined", 1.0)]);
    text += "sample 7 kfiber inlined 100\n";
    let mut samples = Samples::default();
    samples.add_process(&text).expect("good samples");
    let figure = samples.ratio(("kfiber", "inlined"), ("corosensei", "inlined"));
    assert!((figure.expect("both").greatest - 0.5).abs() < 1e-9);
}

#[test]
fn what_was_not_verified_is_refused() {
    let text = printed(GOOD).replace("verified\n", "");
    let error = Samples::default()
        .add_process(&text)
        .expect_err("not verified");
    assert!(
        error.to_string().contains("were right in the end"),
        "{error}"
    );
}

#[test]
fn runs_that_were_too_short_are_counted_and_are_no_samples() {
    let mut samples = samples(&[GOOD]);
    let figures = [("corosensei", "inlined", 2.0), ("kfiber", "inlined", 1.0)];
    let text = printed(&figures).replacen("sample", "discarded 0 corosensei inlined 2\nsample", 1);
    samples.add_process(&text).expect("good samples");
    assert_eq!(samples.discarded(), 2);
    assert_eq!(samples.count(), 3 * (GOOD.len() + figures.len()));
}

#[test]
fn what_is_no_sample_is_refused_and_shown() {
    for line in [
        "discarded 1 kfiber inlined",
        "discarded 1 kfiber inlined -1",
        "sample 1 kfiber inlined",
        "sample one kfiber inlined 3",
        "sample 1 kfiber inlined 0",
        "sample 1 kfiber inlined NaN",
        "bytes control_block many",
        "hello",
    ] {
        let error = Samples::default().add_process(&format!("{line}\nverified\n"));
        let error = error.expect_err("no sample").to_string();
        assert!(error.contains(line), "{error}");
    }
}

#[test]
fn an_aim_is_reached_up_to_its_limit_and_missed_above() {
    let missed = |shape: &str, nanoseconds: f64| {
        let mut figures = GOOD.to_vec();
        figures.retain(|figure| (figure.0, figure.1) != ("kfiber", shape));
        figures.push(("kfiber", shape, nanoseconds));
        let verdicts = aims::verdicts(&samples(&[&figures]));
        verdicts
            .iter()
            .filter(|verdict| !verdict.is_reached())
            .count()
    };
    assert_eq!(missed("inlined", 1.6), 0);
    assert_eq!(missed("inlined", 1.61), 1);
    // Relative to corosensei's own figure of the same shape.
    assert_eq!(missed("both_1_deep", 15.0), 0);
    assert_eq!(missed("both_1_deep", 15.1), 1);
    assert_eq!(missed("create", 2.71), 1);
}

/// The number of aims that are missed if these are measured as well.
fn missed_with(figures: &[(&'static str, &'static str, f64)]) -> usize {
    let figures = [GOOD, figures].concat();
    let verdicts = aims::verdicts(&samples(&[&figures]));
    verdicts
        .iter()
        .filter(|verdict| !verdict.is_reached())
        .count()
}

#[test]
fn two_cores_are_to_be_faster_than_one_by_their_limit() {
    let with = |nanoseconds| {
        missed_with(&[
            ("kfiber", "cores_independent", 100.0),
            ("kfiber-smp", "cores_independent", nanoseconds),
        ])
    };
    assert_eq!(with(52.6), 0);
    assert_eq!(with(52.7), 1);
}

#[test]
fn an_operation_is_held_against_the_fastest_of_the_others() {
    let with = |nanoseconds| {
        missed_with(&[
            ("kfiber", "op_message", 50.0),
            ("tokio", "op_message", 300.0),
            ("flume", "op_message", nanoseconds),
            ("crossbeam", "op_message", 500.0),
        ])
    };
    assert_eq!(with(100.0), 0);
    assert_eq!(with(99.0), 1);
}

#[test]
fn sizes_are_read_and_the_largest_counts() {
    let mut samples = samples(&[GOOD]);
    for bytes in [192, 256, 200] {
        let text = format!("bytes control_block {bytes}\nverified\n");
        samples.add_process(&text).expect("a good size");
    }
    assert_eq!(samples.bytes("control_block"), Some(256));
    assert_eq!(samples.bytes("sleeper_stack"), None);
}

#[test]
fn what_was_not_measured_is_said_to_be_that() {
    let verdicts = aims::verdicts(&samples(&[GOOD]));
    let boost = verdicts.last().expect("there are aims").to_string();
    assert!(boost.starts_with("not measured"), "{boost}");
}

#[test]
fn the_tables_have_what_was_measured_and_no_empty_rows_or_columns() {
    let document = Document {
        conditions: Conditions::of_this_machine(
            "rustc 1".to_owned(),
            &Effort::FULL,
            builds(&Effort::FULL),
        )
        .expect("a Linux machine"),
        contenders: String::new(),
        compile_seconds: 3.21,
        smallest_text: Some("3839".to_owned()),
        samples: samples(&[GOOD]),
    };
    let text = document.text();
    for words in [
        "| kfiber | kfiber, `fp-control` | corosensei | Boost.Context |\n",
        "| round trip, both sides inlined | 0.60 (0.60–0.60) | 3.00 (3.00–3.00) | 1.00 (1.00–1.00) | 4.50 (4.50–4.50) |\n",
        "| 2.40 / 5 |",
        "| 3.2 s |",
        "| 3839 bytes |",
        "3 builds",
        "| both inlined | at most 0.80 | 0.60 (0.60–0.60) | reached |\n",
    ] {
        assert!(text.contains(words), "`{words}` is not in\n{text}");
    }
    assert!(!text.contains("ring"), "{text}");
}

#[test]
fn the_size_of_the_smallest_kernel_is_read_from_its_table() {
    let table = "| `smallest_text` | code | 7000 |  |  |\n| `smallest_text_for_size` | code | 3839 | 4095 | x |\n";
    assert_eq!(smallest_text(table).as_deref(), Some("3839"));
    assert_eq!(smallest_text("nothing"), None);
}

#[test]
fn the_picture_has_a_bar_for_each_figure_as_long_as_it_is_great() {
    let svg = plot::draw(&samples(&[GOOD])).expect("drawn");
    let widths = |colour: &str| -> Vec<u32> {
        let bars = svg
            .lines()
            .filter(|line| line.contains("<rect") && line.contains(colour));
        let width = |line: &str| {
            line.split("width=\"")
                .nth(1)?
                .split('"')
                .next()?
                .parse()
                .ok()
        };
        bars.filter_map(width).collect()
    };
    // The legend, then a bar in each of the six shapes.
    let kfiber = widths("#D55E00");
    assert_eq!(kfiber.len(), 7, "{svg}");
    let corosensei = widths("#2F81C7");
    assert_eq!(corosensei.len(), 4, "{svg}");
    assert!(corosensei[2] > 10 * kfiber[1], "15 ns and 1.2 ns: {svg}");
    for words in ["prefers-color-scheme:dark", ">corosensei</text>", "0.60"] {
        assert!(
            svg.replace('\n', "").contains(words),
            "`{words}` is not in\n{svg}"
        );
    }
    assert!(
        !svg.contains("fill=\"#FFFFFF\""),
        "no background: it would glare on a dark page"
    );
    plot::draw(&Samples::default()).expect_err("there is nothing to draw");
}
