//! Horizontal bars in groups, with their values in a column on the right, where no line crosses them.

use super::{
    scale::Scale,
    svg::{Anchor, CHARACTER, COLOURS, Svg},
};

const WIDTH: f64 = 860.0;
/// Where the legend is, and where the first group begins.
const LEGEND: f64 = 50.0;
const TOP: f64 = 78.0;
const BAR: f64 = 15.0;
const GAP: f64 = 10.0;
/// For the names of ticks.
const BELOW: f64 = 34.0;
const MARGIN: f64 = 16.0;

/// A chart.
pub(super) struct Bars {
    pub(super) title: String,
    /// What the first, the second, … bar of every group is.
    pub(super) names: Vec<String>,
    pub(super) groups: Vec<Group>,
    /// A value to compare with, and its name.
    pub(super) mark: Option<(f64, &'static str)>,
    /// How a value of the axis is written.
    pub(super) tick: fn(f64) -> String,
}

/// Bars that belong together.
pub(super) struct Group {
    pub(super) name: String,
    /// A place stays empty where there is none.
    pub(super) bars: Vec<Option<Bar>>,
}

/// A bar.
pub(super) struct Bar {
    pub(super) value: f64,
    pub(super) label: String,
}

impl Bars {
    pub(super) fn draw(&self) -> String {
        let group = self.names.len() as f64 * BAR + GAP;
        let bottom = TOP + self.groups.len() as f64 * group;
        let mut svg = Svg::new([WIDTH, bottom + BELOW], &self.title);
        svg.legend([MARGIN, LEGEND], &self.names);
        let frame = self.frame();
        for tick in frame.scale.ticks() {
            let x = frame.x(tick);
            svg.grid([x, TOP - 6.0], [x, bottom]);
            svg.text([x, bottom + 18.0], Anchor::Middle, &(self.tick)(tick));
        }
        for (group_bars, place) in self.groups.iter().zip(0..) {
            frame.group(&mut svg, group_bars, TOP + f64::from(place) * group);
        }
        if let Some((value, name)) = self.mark {
            let x = frame.x(value);
            svg.mark([x, TOP - 6.0], [x, bottom]);
            svg.text([x, TOP - 10.0], Anchor::Middle, name);
        }
        svg.finish()
    }

    /// Leaves room for the longest name on the left and for the longest label on the right.
    fn frame(&self) -> Frame {
        let bars = || self.groups.iter().flat_map(|group| group.bars.iter().flatten());
        let width = |texts: &mut dyn Iterator<Item = &String>| {
            texts.map(|text| text.chars().count()).max().unwrap_or_default() as f64 * CHARACTER
        };
        let names = width(&mut self.groups.iter().map(|group| &group.name));
        let labels = width(&mut bars().map(|bar| &bar.label));
        let greatest =
            bars().map(|bar| bar.value).chain(self.mark.map(|(value, _)| value)).fold(0.0, f64::max);
        Frame {
            left: MARGIN + names + 8.0,
            right: WIDTH - MARGIN - labels - 12.0,
            scale: Scale::up_to(greatest),
        }
    }
}

/// Where bars are.
struct Frame {
    left: f64,
    right: f64,
    scale: Scale,
}

impl Frame {
    fn x(&self, value: f64) -> f64 {
        self.left + self.scale.share(value) * (self.right - self.left)
    }

    fn group(&self, svg: &mut Svg, group: &Group, top: f64) {
        let middle = top + group.bars.len() as f64 * BAR / 2.0;
        svg.text([self.left - 8.0, middle + 4.0], Anchor::End, &group.name);
        for ((bar, colour), place) in group.bars.iter().zip(COLOURS).zip(0..) {
            let Some(bar) = bar else { continue };
            let (x, y) = (self.x(bar.value), top + f64::from(place) * BAR);
            svg.rectangle([self.left, y], [x - self.left, BAR - 2.0], colour);
            svg.text([self.right + 12.0, y + BAR - 4.0], Anchor::Start, &bar.label);
        }
    }
}
