//! The picture: bars of the shapes that code has, for those contenders that fit on one scale.

use anyhow::{Result, anyhow, ensure};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::names::{CONTENDERS, REFERENCE, SHAPES};
use super::rounded::short;
use super::samples::{Figure, Samples};

/// The shapes and contenders that are drawn, in this order.
const DRAWN_SHAPES: [&str; 6] = [
    "inlined",
    "yield_1_deep",
    "yield_3_deep",
    "resume_1_deep",
    "both_1_deep",
    "create",
];
/// Each with its colour, which can be told from the others by people who do not see all colours, on white and on black.
const DRAWN: [(&str, RGBColor); 6] = [
    ("kfiber", RGBColor(0xd5, 0x5e, 0x00)),
    ("corosensei", RGBColor(0x2f, 0x81, 0xc7)),
    ("generator", RGBColor(0x8c, 0x8c, 0x8c)),
    ("wasmtime", RGBColor(0x9a, 0x6f, 0xc4)),
    ("kfiber-fp", RGBColor(0xe6, 0xa0, 0x3c)),
    ("boost", RGBColor(0x00, 0x9e, 0x73)),
];
/// Text on white; [`STYLE`] makes it lighter where the page is dark.
const TEXT: RGBColor = RGBColor(0x57, 0x60, 0x6a);
const FAINT: RGBColor = RGBColor(0xd0, 0xd7, 0xde);
const STYLE: &str = "<style>text{font-family:system-ui,sans-serif}@media(prefers-color-scheme:dark){\
    [fill=\"#57606A\"]{fill:#adb5bd}[stroke=\"#D0D7DE\"]{stroke:#3d444d}}</style>";

const WIDTH: i32 = 860;
const LEFT: i32 = 250;
const RIGHT: i32 = 70;
const TOP: i32 = 76;
const BAR: i32 = 11;
const GAP: i32 = 14;

/// Draws the picture as SVG.
pub(super) fn draw(samples: &Samples) -> Result<String> {
    let groups = groups(samples);
    let bars = groups.iter().map(|group| group.bars.len()).sum::<usize>();
    ensure!(bars > 0, "there is nothing to draw");
    let height = TOP + i32::try_from(bars)? * BAR + i32::try_from(groups.len())? * GAP + 26;
    let greatest = groups.iter().flat_map(|group| &group.bars);
    let greatest = greatest
        .map(|(_, figure)| figure.median)
        .fold(1.0, f64::max);
    let scale = f64::from(WIDTH - LEFT - RIGHT) / greatest;
    let mut svg = String::new();
    {
        let size = (u32::try_from(WIDTH)?, u32::try_from(height)?);
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        paint(&area, &groups, scale, height).map_err(|error| anyhow!("cannot draw: {error}"))?;
        area.present()
            .map_err(|error| anyhow!("cannot draw: {error}"))?;
    }
    // After the opening tag, so that it holds for everything.
    let end = svg.find("\">\n").map_or(0, |at| at + 3);
    svg.insert_str(end, STYLE);
    if !svg.ends_with('\n') {
        svg.push('\n');
    }
    Ok(svg)
}

/// The bars of one shape.
struct Group {
    title: &'static str,
    bars: Vec<(RGBColor, Figure)>,
}

fn groups(samples: &Samples) -> Vec<Group> {
    let group = |key: &str| {
        let shape = SHAPES.iter().find(|shape| shape.key == key)?;
        let bar = |(contender, colour): (&str, RGBColor)| {
            Some((colour, samples.ratio((contender, key), REFERENCE)?))
        };
        let bars: Vec<_> = DRAWN.into_iter().filter_map(bar).collect();
        (!bars.is_empty()).then_some(Group {
            title: shape.title.trim_start_matches("… "),
            bars,
        })
    };
    DRAWN_SHAPES.into_iter().filter_map(group).collect()
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Fault = Box<dyn std::error::Error>;

fn paint(area: &Area<'_>, groups: &[Group], scale: f64, height: i32) -> Result<(), Fault> {
    let left = text(12, HPos::Left);
    let right = text(12, HPos::Right);
    let small = text(10, HPos::Left);
    area.draw_text(
        "Time of one operation; corosensei's round trip, both sides inlined, is 1. Shorter is better.",
        &text(13, HPos::Left),
        (10, 16),
    )?;
    let mut x = 10;
    for (key, colour) in DRAWN {
        let title = CONTENDERS.iter().find(|contender| contender.key == key);
        let title = title
            .map_or(key, |contender| contender.title)
            .replace('`', "");
        area.draw(&Rectangle::new([(x, 40), (x + 11, 51)], colour.filled()))?;
        area.draw_text(&title, &left, (x + 16, 46))?;
        x += 38 + i32::try_from(title.chars().count())? * 7;
    }
    // The reference, as a line through all of them.
    let one = LEFT + pixels(scale);
    area.draw(&PathElement::new(
        vec![(one, TOP - 8), (one, height - 22)],
        FAINT.stroke_width(1),
    ))?;
    area.draw_text("1", &text(10, HPos::Center), (one, height - 12))?;
    let mut y = TOP;
    for group in groups {
        let middle = y + i32::try_from(group.bars.len())? * BAR / 2;
        area.draw_text(group.title, &right, (LEFT - 12, middle))?;
        for (colour, figure) in &group.bars {
            let end = LEFT + pixels(figure.median * scale).max(1);
            let bar = Rectangle::new([(LEFT, y), (end, y + BAR - 2)], colour.filled());
            area.draw(&bar)?;
            area.draw_text(&short(figure.median), &small, (end + 5, y + BAR / 2 - 1))?;
            y += BAR;
        }
        y += GAP;
    }
    Ok(())
}

#[expect(clippy::cast_possible_truncation, reason = "places in a small picture")]
const fn pixels(value: f64) -> i32 {
    value.round() as i32
}

fn text(size: i32, anchor: HPos) -> TextStyle<'static> {
    ("sans-serif", size)
        .into_font()
        .color(&TEXT)
        .pos(Pos::new(anchor, VPos::Center))
}
