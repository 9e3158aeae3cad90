//! As much of SVG as a chart needs. All lengths are in pixels.

use std::fmt::Write as _;

/// Told apart by the colour-blind too (Okabe and Ito), in the order in which lines and bars come.
pub(super) const COLOURS: [&str; 4] = ["#0072b2", "#e69f00", "#009e73", "#cc79a7"];
const INK: &str = "#222";
const FAINT: &str = "#ddd";
/// Of all text but titles.
const SIZE: u32 = 12;
/// About what a character of that size is wide.
pub(super) const CHARACTER: f64 = 6.7;

/// A picture that is being drawn.
pub(super) struct Svg(String);

/// Where a text is with regard to its point.
#[derive(Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

impl Svg {
    /// A white ground with a title.
    pub(super) fn new([width, height]: [f64; 2], title: &str) -> Self {
        let title = escaped(title);
        let mut svg = Self(String::new());
        svg.add(format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
             height=\"{height:.0}\" font-family=\"sans-serif\" font-size=\"{SIZE}\" fill=\"{INK}\">"
        ));
        svg.add(format_args!("<title>{title}</title>"));
        svg.add(format_args!("<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>"));
        svg.add(format_args!("<text x=\"16\" y=\"26\" font-size=\"15\" font-weight=\"bold\">{title}</text>"));
        svg
    }

    pub(super) fn text(&mut self, [x, y]: [f64; 2], anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = escaped(text);
        self.add(format_args!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"));
    }

    pub(super) fn rectangle(&mut self, [x, y]: [f64; 2], [width, height]: [f64; 2], colour: &str) {
        self.add(format_args!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{colour}\"/>"
        ));
    }

    /// A line of the grid.
    pub(super) fn grid(&mut self, from: [f64; 2], to: [f64; 2]) {
        self.line(from, to, FAINT);
    }

    /// A line to compare with.
    pub(super) fn mark(&mut self, from: [f64; 2], to: [f64; 2]) {
        self.line(from, to, INK);
    }

    fn line(&mut self, [x1, y1]: [f64; 2], [x2, y2]: [f64; 2], colour: &str) {
        self.add(format_args!(
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\"/>"
        ));
    }

    /// Points, joined by a line.
    pub(super) fn curve(&mut self, points: &[[f64; 2]], colour: &str) {
        let joined: Vec<String> = points.iter().map(|[x, y]| format!("{x:.1},{y:.1}")).collect();
        self.add(format_args!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            joined.join(" ")
        ));
        for [x, y] in points {
            self.add(format_args!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{colour}\"/>"));
        }
    }

    /// What each colour stands for, in a line that begins here.
    pub(super) fn legend<'a>(&mut self, [mut x, y]: [f64; 2], names: impl IntoIterator<Item = &'a String>) {
        for (name, colour) in names.into_iter().zip(COLOURS.iter().cycle()) {
            self.rectangle([x, y - 10.0], [12.0, 12.0], colour);
            self.text([x + 18.0, y], Anchor::Start, name);
            x += 18.0 + name.chars().count() as f64 * CHARACTER + 24.0;
        }
    }

    pub(super) fn finish(mut self) -> String {
        self.0.push_str("</svg>\n");
        self.0
    }

    fn add(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing into a String cannot fail.
        let _ = writeln!(self.0, "{element}");
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
