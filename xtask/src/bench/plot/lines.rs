//! Lines over the same few steps, in panels side by side. Each panel has an axis of its own.

use indicatif::HumanCount;

use super::{
    scale::Scale,
    svg::{Anchor, COLOURS, Svg},
};

const PANEL: f64 = 300.0;
const HEIGHT: f64 = 330.0;
const LEGEND: f64 = 50.0;
/// Of the area of a panel: its upper and lower end, and how far in it begins and ends.
const TOP: f64 = 92.0;
const BOTTOM: f64 = 280.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 14.0;
const MARGIN: f64 = 16.0;

/// A chart.
pub(super) struct Lines {
    pub(super) title: String,
    /// What the steps are.
    pub(super) x_title: &'static str,
    pub(super) panels: Vec<Panel>,
}

/// A panel; the lines of all panels are the same ones.
pub(super) struct Panel {
    pub(super) title: String,
    pub(super) xs: Vec<String>,
    pub(super) lines: Vec<Line>,
}

/// A line.
pub(super) struct Line {
    pub(super) name: String,
    /// One for each step, where there is one.
    pub(super) ys: Vec<Option<f64>>,
}

impl Lines {
    pub(super) fn draw(&self) -> String {
        let width = self.panels.len() as f64 * PANEL + MARGIN;
        // A single panel is narrower than the title.
        let mut svg = Svg::new([width.max(2.0 * PANEL), HEIGHT], &self.title);
        let names = self.panels.first().map(|panel| panel.lines.iter().map(|line| &line.name));
        svg.legend([MARGIN, LEGEND], names.into_iter().flatten());
        for (panel, place) in self.panels.iter().zip(0..) {
            panel.draw(&mut svg, f64::from(place) * PANEL, self.x_title);
        }
        svg.finish()
    }
}

impl Panel {
    fn draw(&self, svg: &mut Svg, begin: f64, x_title: &str) {
        let (left, right) = (begin + LEFT, begin + PANEL - RIGHT);
        let values = self.lines.iter().flat_map(|line| line.ys.iter().flatten());
        let scale = Scale::up_to(values.copied().fold(0.0, f64::max));
        let y = |value: f64| BOTTOM - scale.share(value) * (BOTTOM - TOP);
        // Half a step of room on either side.
        let step = (right - left) / self.xs.len() as f64;
        let x = |place: usize| left + (place as f64 + 0.5) * step;

        svg.text([(left + right) / 2.0, TOP - 14.0], Anchor::Middle, &self.title);
        for tick in scale.ticks() {
            svg.grid([left, y(tick)], [right, y(tick)]);
            svg.text([left - 6.0, y(tick) + 4.0], Anchor::End, &HumanCount(tick as u64).to_string());
        }
        for (place, name) in self.xs.iter().enumerate() {
            svg.text([x(place), BOTTOM + 18.0], Anchor::Middle, name);
        }
        svg.text([(left + right) / 2.0, BOTTOM + 38.0], Anchor::Middle, x_title);
        for (line, colour) in self.lines.iter().zip(COLOURS) {
            let points =
                line.ys.iter().enumerate().filter_map(|(place, value)| Some([x(place), y((*value)?)]));
            svg.curve(&points.collect::<Vec<_>>(), colour);
        }
    }
}
