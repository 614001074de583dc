//! Curves as SVG, both axes logarithmic: what grows with what.

use std::fmt::Write as _;

/// One field of curves.
#[derive(Debug)]
pub(crate) struct Panel {
    pub(crate) title: &'static str,
    pub(crate) x: &'static str,
    pub(crate) curves: Vec<Curve>,
}

/// One curve.
#[derive(Debug)]
pub(crate) struct Curve {
    pub(crate) name: &'static str,
    pub(crate) look: Look,
    /// From left to right, and all above zero.
    pub(crate) points: Vec<(f64, f64)>,
}

/// A colour that is told apart by most eyes, and a dash.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look(&'static str, &'static str);

pub(crate) const FLOOR: Look = Look("#767676", "5 4");
pub(crate) const OWN: Look = Look("#0b62b0", "none");
pub(crate) const REGISTERED: Look = Look("#0b62b0", "2 3");
pub(crate) const PEER: Look = Look("#c2500a", "none");
pub(crate) const OTHER_PEER: Look = Look("#c2500a", "2 3");

const COLUMNS: usize = 3;
const WIDTH: f64 = 400.0;
const HEIGHT: f64 = 330.0;
/// Around the field: for the numbers, the legend and the title.
const LEFT: f64 = 56.0;
const RIGHT: f64 = 18.0;
const TOP: f64 = 92.0;
const BOTTOM: f64 = 46.0;

/// All panels in one picture. A panel without points is left out.
#[allow(clippy::cast_precision_loss, reason = "a few panels")]
pub(crate) fn svg(panels: &[Panel]) -> String {
    let panels: Vec<&Panel> =
        panels.iter().filter(|panel| panel.curves.iter().any(|curve| !curve.points.is_empty())).collect();
    let rows = panels.len().div_ceil(COLUMNS);
    let (width, height) = (WIDTH * COLUMNS as f64, HEIGHT * rows as f64);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"Helvetica, Arial, sans-serif\" font-size=\"12\" fill=\"#222\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n"
    );
    for (index, panel) in panels.iter().enumerate() {
        let (x, y) = ((index % COLUMNS) as f64 * WIDTH, (index / COLUMNS) as f64 * HEIGHT);
        let _ = writeln!(text, "<g transform=\"translate({x} {y})\">\n{}</g>", one(panel));
    }
    text + "</svg>\n"
}

fn one(panel: &Panel) -> String {
    let points = || panel.curves.iter().flat_map(|curve| &curve.points);
    let x = Axis::of(points().map(|point| point.0), LEFT, WIDTH - RIGHT);
    let y = Axis::of(points().map(|point| point.1), HEIGHT - BOTTOM, TOP);
    let mut text = format!(
        "<text x=\"{LEFT}\" y=\"22\" font-size=\"14\" font-weight=\"bold\">{}</text>\n",
        escaped(panel.title)
    );
    let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
    for (value, place) in y.ticks() {
        let _ = writeln!(
            text,
            "<path d=\"M{LEFT} {place:.1}H{right}\" stroke=\"#ddd\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 6.0,
            place + 4.0,
            nanoseconds(value)
        );
    }
    for value in distinct(points().map(|point| point.0)) {
        let place = x.place(value);
        let _ = writeln!(
            text,
            "<path d=\"M{place:.1} {bottom}v5\" stroke=\"#222\"/>\
             <text x=\"{place:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{value}</text>",
            bottom + 18.0
        );
    }
    let _ = writeln!(
        text,
        "<path d=\"M{LEFT} {bottom}H{right}\" stroke=\"#222\"/>\
         <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
        (LEFT + right) / 2.0,
        bottom + 36.0,
        escaped(panel.x)
    );
    for (index, curve) in panel.curves.iter().enumerate() {
        text += &drawn(curve, index, &x, &y);
    }
    text
}

/// A curve, its points, and its place in the legend, which has two columns.
#[allow(clippy::cast_precision_loss, reason = "a few curves")]
fn drawn(curve: &Curve, index: usize, x: &Axis, y: &Axis) -> String {
    let Look(colour, dash) = curve.look;
    let places: Vec<(f64, f64)> =
        curve.points.iter().map(|point| (x.place(point.0), y.place(point.1))).collect();
    let line: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let line_style =
        format!("fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dash}\"");
    let mut text = format!("<polyline points=\"{}\" {line_style}/>\n", line.join(" "));
    for (x, y) in places {
        let _ = writeln!(text, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>");
    }
    let (left, top) = (LEFT + (index % 2) as f64 * 165.0, 42.0 + (index / 2) as f64 * 17.0);
    let _ = writeln!(
        text,
        "<path d=\"M{left} {top}h24\" {line_style}/><text x=\"{}\" y=\"{}\">{}</text>",
        left + 30.0,
        top + 4.0,
        escaped(curve.name)
    );
    text
}

/// A logarithmic axis between two places of the picture.
struct Axis {
    from: f64,
    to: f64,
    begin: f64,
    end: f64,
}

impl Axis {
    /// A little wider than its values, so that one value alone has a place.
    fn of(values: impl Iterator<Item = f64>, begin: f64, end: f64) -> Self {
        let (low, high) = values
            .fold((f64::MAX, f64::MIN_POSITIVE), |(low, high), value| (low.min(value), high.max(value)));
        Self { from: (low / 1.15).ln(), to: (high * 1.15).ln(), begin, end }
    }

    fn place(&self, value: f64) -> f64 {
        self.begin + (value.ln() - self.from) / (self.to - self.from) * (self.end - self.begin)
    }

    /// 1, 2 and 5 of every power of ten that are on it, with their places.
    fn ticks(&self) -> Vec<(f64, f64)> {
        let steps = (0..7).flat_map(|power| [1.0, 2.0, 5.0].map(|step| step * 10_f64.powi(power)));
        let on = steps.filter(|value| (self.from..=self.to).contains(&value.ln()));
        on.map(|value| (value, self.place(value))).collect()
    }
}

fn distinct(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    // Where two would stand on each other the smaller one says enough.
    let mut kept: Vec<f64> = Vec::new();
    for value in values {
        if kept.last().is_none_or(|last| value / last > 1.25) {
            kept.push(value);
        }
    }
    kept
}

fn nanoseconds(value: f64) -> String {
    if value < 1_000.0 { format!("{value} ns") } else { format!("{} µs", value / 1_000.0) }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(points: &[(f64, f64)]) -> Panel {
        let curves = vec![Curve { name: "a < b", look: OWN, points: points.to_vec() }];
        Panel { title: "cost", x: "headers", curves }
    }

    #[test]
    fn a_curve_stays_in_its_field() {
        let text = svg(&[panel(&[(1.0, 40.0), (1_000.0, 90_000.0)])]);
        let line = text.lines().find(|line| line.starts_with("<polyline")).unwrap_or_default();
        let numbers = line.split(['"', ' ', ',']).filter_map(|word| word.parse::<f64>().ok());
        let numbers: Vec<f64> = numbers.take(4).collect();
        assert!(
            matches!(numbers[..], [x1, y1, x2, y2]
            if LEFT < x1 && x1 < x2 && x2 < WIDTH && TOP < y2 && y2 < y1 && y1 < HEIGHT - BOTTOM),
            "{numbers:?}"
        );
        assert!(text.contains("a &lt; b") && !text.contains("NaN"));
    }

    #[test]
    fn one_point_has_a_place_and_none_has_no_panel() {
        assert!(!svg(&[panel(&[(5.0, 100.0)])]).contains("NaN"));
        assert!(!svg(&[panel(&[])]).contains("<g"));
    }

    #[test]
    fn ticks_are_round_numbers_on_the_axis() {
        let axis = Axis::of([90.0, 600.0].into_iter(), 0.0, 1.0);
        assert_eq!(axis.ticks().iter().map(|tick| tick.0).collect::<Vec<_>>(), [100.0, 200.0, 500.0]);
        assert_eq!((nanoseconds(500.0), nanoseconds(2_000.0)), ("500 ns".into(), "2 µs".into()));
    }
}
