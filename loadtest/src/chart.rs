//! Charts of figures: bars and lines in SVG, on a page that loads nothing else.

use std::{fmt::Write, fs, io, path::Path};

/// A page of charts.
#[derive(Clone, Debug)]
pub struct Page {
    title: String,
    body: String,
}

impl Page {
    /// Creates an empty page.
    pub fn new(title: &str) -> Self {
        Self {
            title: escaped(title),
            body: String::new(),
        }
    }

    /// Adds a bar chart. The heading says whether shorter bars are better.
    pub fn bars(&mut self, heading: &str, unit: &str, bars: &[(String, f64)]) {
        let most = bars.iter().map(|(_, value)| *value).fold(0.0, f64::max);
        let height = bars.len() * BAR;
        let mut svg = open(heading, height);
        for (index, (name, value)) in bars.iter().enumerate() {
            let (top, text) = (index * BAR, index * BAR + BAR * 2 / 3);
            let width = if most > 0.0 { value / most * BARS } else { 0.0 };
            let end = NAMES + width;
            svg += &format!(
                "<text x=\"{}\" y=\"{text}\" text-anchor=\"end\">{}</text>\
                 <rect x=\"{NAMES}\" y=\"{}\" width=\"{width:.1}\" height=\"{}\"/>\
                 <text x=\"{:.1}\" y=\"{text}\">{} {unit}</text>\n",
                NAMES - 8.0,
                escaped(name),
                top + 3,
                BAR - 6,
                end + 6.0,
                short(*value),
            );
        }
        self.body += &(svg + "</svg>\n");
    }

    /// Adds a line over time, from its first point to its last. The axis begins at 0.
    pub fn line(&mut self, heading: &str, unit: &str, points: &[(f64, f64)]) {
        let last = points.last().map_or(1.0, |(at, _)| at.max(1.0));
        let most = points.iter().map(|(_, value)| *value).fold(0.0, f64::max);
        let place = |(at, value): &(f64, f64)| {
            let x = NAMES + at / last * BARS;
            let y = LINE as f64 * (1.0 - value / most.max(f64::MIN_POSITIVE));
            format!("{x:.1},{y:.1}")
        };
        let line: Vec<String> = points.iter().map(place).collect();
        let svg = open(heading, LINE + BAR);
        let (most, base) = (short(most), LINE + BAR * 2 / 3);
        let (edge, end) = (NAMES - 8.0, NAMES + BARS);
        self.body += &format!(
            "{svg}<polyline points=\"{}\"/><text x=\"{edge}\" y=\"14\" text-anchor=\"end\">{most} {unit}</text>\
             <text x=\"{edge}\" y=\"{LINE}\" text-anchor=\"end\">0</text>\
             <text x=\"{end}\" y=\"{base}\" text-anchor=\"end\">{} s</text></svg>\n",
            line.join(" "),
            short(last),
        );
    }

    /// Writes the page.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let Self { title, body } = self;
        fs::write(
            path,
            format!(
                "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title><style>{STYLE}</style>\
                 <h1>{title}</h1>\n{body}</html>\n"
            ),
        )
    }
}

fn open(heading: &str, height: usize) -> String {
    let mut svg = format!("<h2>{}</h2>\n", escaped(heading));
    // Writing to a String does not fail.
    _ = writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\">"
    );
    svg
}

fn short(value: f64) -> String {
    let decimals = match value.abs() {
        0.0..10.0 => 2,
        10.0..100.0 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

/// Widths and heights are in pixels.
const WIDTH: usize = 900;
const BAR: usize = 24;
const LINE: usize = 160;
const NAMES: f64 = 300.0;
const BARS: f64 = 480.0;

const STYLE: &str = "body{font:14px sans-serif;margin:2em auto;max-width:960px}rect{fill:#27a}\
    polyline{fill:none;stroke:#27a;stroke-width:2}@media(prefers-color-scheme:dark){body{background:#111;color:#ddd}text{fill:#ddd}}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_text_and_bars_have_the_length_of_their_values() {
        let mut page = Page::new("a < b");
        page.bars("cost", "us", &[("raw & bare".into(), 2.0), ("other".into(), 4.0)]);
        page.line("memory", "MB", &[(0.0, 1.0), (10.0, 2.0)]);
        assert!(page.title == "a &lt; b" && page.body.contains("raw &amp; bare"));
        assert!(page.body.contains("width=\"240.0\"") && page.body.contains("width=\"480.0\""));
        assert!(
            page.body.contains("points=\"300.0,80.0 780.0,0.0\""),
            "{}",
            page.body
        );
    }
}
