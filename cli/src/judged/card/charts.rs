//! Pictures of a measurement, as inline SVG. Each says in words what it shows; colour adds nothing that line, shape and text do
//! not say.

use seatrial_core::gates::figures::{CostFigure, DecisionsFigure, RateFigure, RuleFigure, ThresholdFigure};
use seatrial_crds::Threshold;

use super::html::Html;
use super::words;
use crate::judged::text::{number, percent};

const WIDTH: f64 = 436.0;
const HEIGHT: f64 = 270.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 408.0;
const TOP: f64 = 22.0;
const BOTTOM: f64 = 222.0;
/// How many ticks an axis has besides the first.
const TICKS: u8 = 4;

/// A length for SVG.
fn px(value: f64) -> String {
    format!("{value:.1}")
}

/// The ranges of both axes.
#[derive(Clone, Copy, Debug)]
struct Axes {
    x: (f64, f64),
    y: (f64, f64),
}

impl Axes {
    /// `None` where a range is empty or no range of numbers.
    fn new(x: (f64, f64), y: (f64, f64)) -> Option<Self> {
        let is_range = |(low, high): (f64, f64)| (high - low).is_finite() && high > low;
        (is_range(x) && is_range(y)).then_some(Self { x, y })
    }

    fn x(&self, value: f64) -> f64 {
        LEFT + (RIGHT - LEFT) * ((value - self.x.0) / (self.x.1 - self.x.0)).clamp(0.0, 1.0)
    }

    fn y(&self, value: f64) -> f64 {
        BOTTOM - (BOTTOM - TOP) * ((value - self.y.0) / (self.y.1 - self.y.0)).clamp(0.0, 1.0)
    }

    fn draw(
        &self,
        html: &mut Html,
        (x_title, y_title): (&str, &str),
        x_text: fn(f64) -> String,
        y_text: fn(f64) -> String,
    ) {
        line(html, "axis", (LEFT, BOTTOM), (RIGHT, BOTTOM));
        line(html, "axis", (LEFT, BOTTOM), (LEFT, TOP));
        for tick in 0..=TICKS {
            let part = f64::from(tick) / f64::from(TICKS);
            let (x, y) = (self.x.0 + (self.x.1 - self.x.0) * part, self.y.0 + (self.y.1 - self.y.0) * part);
            label(html, "soft", "middle", (self.x(x), BOTTOM + 16.0), &x_text(x));
            label(html, "soft", "end", (LEFT - 6.0, self.y(y) + 4.0), &y_text(y));
        }
        label(html, "", "middle", ((LEFT + RIGHT) / 2.0, BOTTOM + 36.0), x_title);
        label(html, "", "start", (4.0, 13.0), y_title);
    }
}

fn line(html: &mut Html, class: &'static str, from: (f64, f64), to: (f64, f64)) {
    html.raw("<line class=\"").raw(class).raw("\" x1=\"").text(px(from.0)).raw("\" y1=\"").text(px(from.1));
    html.raw("\" x2=\"").text(px(to.0)).raw("\" y2=\"").text(px(to.1)).raw("\"/>\n");
}

fn label(html: &mut Html, class: &'static str, anchor: &'static str, at: (f64, f64), text: &str) {
    html.raw("<text class=\"").raw(class).raw("\" text-anchor=\"").raw(anchor).raw("\" x=\"").text(px(at.0));
    html.raw("\" y=\"").text(px(at.1)).raw("\">").text(text).raw("</text>\n");
}

fn dot(html: &mut Html, class: &'static str, at: (f64, f64), radius: f64) {
    html.raw("<circle class=\"").raw(class).raw("\" cx=\"").text(px(at.0)).raw("\" cy=\"").text(px(at.1));
    html.raw("\" r=\"").text(px(radius)).raw("\"/>\n");
}

fn curve(html: &mut Html, points: impl Iterator<Item = (f64, f64)>) {
    let points: Vec<String> = points.map(|(x, y)| format!("{},{}", px(x), px(y))).collect();
    html.raw("<polyline class=\"curve\" points=\"").text(points.join(" ")).raw("\"/>\n");
}

/// A figure: the picture, and a caption that says the same in words.
fn figure(height: f64, says: &str, caption: &str, picture: &Html) -> Html {
    let mut html = Html::default();
    html.raw("<figure><svg role=\"img\" viewBox=\"0 0 ").text(px(WIDTH)).raw(" ").text(px(height));
    html.raw("\" aria-label=\"").text(says).raw("\">\n").add(picture).raw("</svg>\n<figcaption>").text(caption);
    html.raw("</figcaption></figure>\n");
    html
}

/// The range of thresholds: from 0 to 1 where scores are parts, else that of the points.
fn thresholds(points: &[ThresholdFigure]) -> (f64, f64) {
    let (low, high) = points.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), point| {
        (low.min(point.threshold), high.max(point.threshold))
    });
    // The first threshold is a little above the largest score.
    if low >= 0.0 && high <= 1.000_001 { (0.0, 1.0) } else { (low, high) }
}

/// What each prediction costs at each threshold, with the chosen one and its range, and the cost without the model.
pub(super) fn cost(
    points: &[ThresholdFigure],
    chosen: Option<&Threshold>,
    cost: Option<&CostFigure>,
    unit: &str,
) -> Option<Html> {
    let costs: Vec<(f64, f64)> = points.iter().filter_map(|point| Some((point.threshold, point.cost?))).collect();
    if costs.is_empty() {
        return None;
    }
    let highest = costs.iter().map(|(_, cost)| *cost).chain(cost.map(|cost| cost.without_model)).fold(0.0, f64::max);
    let axes = Axes::new(thresholds(points), (0.0, highest * 1.12))?;
    let mut picture = Html::default();
    let read = |text: &str| text.parse::<f64>().ok().filter(|value| value.is_finite());
    let band = chosen.and_then(|chosen| Some((read(&chosen.lowest)?, read(&chosen.highest)?)));
    if let Some((low, high)) = band {
        let (from, to) = (axes.x(low) - 1.5, axes.x(high) + 1.5);
        picture.raw("<rect class=\"band\" x=\"").text(px(from)).raw("\" y=\"").text(px(TOP)).raw("\" width=\"");
        picture.text(px(to - from)).raw("\" height=\"").text(px(BOTTOM - TOP)).raw("\"/>\n");
    }
    let title = format!("cost of each prediction, {unit}");
    axes.draw(&mut picture, ("score from which a row is flagged (threshold)", &title), number, number);
    if let Some(cost) = cost {
        let y = axes.y(cost.without_model);
        line(&mut picture, "reference", (LEFT, y), (RIGHT, y));
        let text = format!("{}: {}", words::without(cost.status_quo), number(cost.without_model));
        label(&mut picture, "soft", "end", (RIGHT, y - 5.0), &text);
    }
    curve(&mut picture, costs.iter().map(|(at, cost)| (axes.x(*at), axes.y(*cost))));
    for (at, cost) in &costs {
        dot(&mut picture, "dot", (axes.x(*at), axes.y(*cost)), 3.0);
    }
    let value = chosen.and_then(|chosen| read(&chosen.value));
    if let Some(value) = value {
        let x = axes.x(value);
        line(&mut picture, "chosen", (x, TOP), (x, BOTTOM));
        let (anchor, beside) = if x > (LEFT + RIGHT) / 2.0 { ("end", x - 5.0) } else { ("start", x + 5.0) };
        label(&mut picture, "", anchor, (beside, BOTTOM - 8.0), &format!("chosen: {}", number(value)));
    }
    let mut says = match value {
        Some(value) => format!("Curve of costs. The threshold {} costs least", number(value)),
        None => "Curve of costs".to_owned(),
    };
    if let Some(cost) = cost {
        says.push_str(&format!(
            ". The version costs {} {unit} for each prediction, {} costs {} {unit}",
            number(cost.cost),
            words::without(cost.status_quo),
            number(cost.without_model)
        ));
    }
    let range = band.map(|(low, high)| {
        format!(" The shaded band, from {} to {}, is where halves of the rows would put it: a wide band says that it matters little, or that there are few rows.", number(low), number(high))
    });
    let caption = format!(
        "Dots are what was counted at some thresholds; the line only connects them. The upright line is the threshold that is chosen since it costs least.{}",
        range.unwrap_or_default()
    );
    Some(figure(HEIGHT, &says, &caption, &picture))
}

/// The ROC curve, named by what it trades.
pub(super) fn roc(points: &[ThresholdFigure], now: Option<&DecisionsFigure>) -> Option<Html> {
    if points.len() < 3 {
        return None;
    }
    let axes = Axes::new((0.0, 1.0), (0.0, 1.0))?;
    let mut picture = Html::default();
    axes.draw(&mut picture, ("negatives that are wrongly flagged", "positives that are found"), percent, percent);
    line(&mut picture, "reference", (axes.x(0.0), axes.y(0.0)), (axes.x(1.0), axes.y(1.0)));
    label(&mut picture, "soft", "start", (axes.x(0.62), axes.y(0.52)), "a coin");
    curve(&mut picture, points.iter().map(|point| (axes.x(point.false_positive_rate), axes.y(point.recall))));
    let mut says = "ROC curve: how many positives are found for how many false alarms".to_owned();
    if let Some(now) = now {
        let at = (axes.x(now.alarms.rate), axes.y(now.found.rate));
        dot(&mut picture, "hollow", at, 6.0);
        label(&mut picture, "", "start", (at.0 + 10.0, at.1 + 14.0), "as it decides");
        says.push_str(&format!(
            ". As it decides, {} of the positives are found and {} of the negatives wrongly flagged",
            percent(now.found.rate),
            percent(now.alarms.rate)
        ));
    }
    let caption = "Also called the ROC curve. To find more, more must be wrongly flagged. The nearer the line to the upper left corner, the better the model tells both apart; on the dashed line it knows nothing. The ring is where the threshold puts it.";
    Some(figure(HEIGHT, &says, caption, &picture))
}

/// What was observed where scores lie in a range, against what they say.
pub(super) fn calibration(points: &[ThresholdFigure]) -> Option<Html> {
    if thresholds(points) != (0.0, 1.0) {
        return None;
    }
    let between = |pair: &[ThresholdFigure]| match pair {
        [above, below] => {
            let rows = below.flagged.saturating_sub(above.flagged);
            let hits = below.true_positives.saturating_sub(above.true_positives);
            let observed = RateFigure { part: hits, whole: rows, rate: ratio(hits, rows)?, low: 0.0, high: 0.0 };
            Some((below.threshold, above.threshold.min(1.0), observed))
        }
        _ => None,
    };
    let parts: Vec<(f64, f64, RateFigure)> = points.windows(2).filter_map(between).collect();
    let axes = Axes::new((0.0, 1.0), (0.0, 1.0)).filter(|_| parts.len() > 1)?;
    let mut picture = Html::default();
    axes.draw(&mut picture, ("score that the model gives", "positives among them"), number, percent);
    line(&mut picture, "reference", (axes.x(0.0), axes.y(0.0)), (axes.x(1.0), axes.y(1.0)));
    label(&mut picture, "soft", "end", (axes.x(0.72), axes.y(0.86)), "as said");
    for (low, high, observed) in &parts {
        let y = axes.y(observed.rate);
        line(&mut picture, "curve", (axes.x(*low), y), (axes.x(*high), y));
        dot(&mut picture, "dot", (axes.x((low + high) / 2.0), y), 3.0);
    }
    let texts = parts.iter().rev().map(|(low, high, observed)| {
        format!("scores from {} to {}: {} of {} positive", number(*low), number(*high), observed.part, observed.whole)
    });
    let says = format!("Calibration: {}", texts.collect::<Vec<_>>().join("; "));
    let caption = "Calibration: each bar is a range of scores, and how many of the rows in it are positive in the evaluation. A bar that crosses the dashed line keeps its word: of those with a score of 0.3, 30 % are positive.";
    Some(figure(HEIGHT, &says, caption, &picture))
}

#[expect(clippy::cast_precision_loss, reason = "it is drawn")]
fn ratio(part: i64, whole: i64) -> Option<f64> {
    (whole > 0 && part >= 0).then(|| part as f64 / whole as f64)
}

/// The rates of the groups that a rule compares, each with its interval.
pub(super) fn groups(rule: &RuleFigure<'_>) -> Option<Html> {
    let axes = Axes::new((0.0, 1.0), (0.0, 1.0)).filter(|_| !rule.groups.is_empty())?;
    let mut picture = Html::default();
    let mut y = 20.0;
    let mut texts = Vec::new();
    for (name, rate) in &rule.groups {
        let is_small = rate.whole < rule.rule.min_count.max(1);
        let shown = if name.is_empty() { "(empty)" } else { name.as_str() };
        let counted = format!("{} of {}", words::count(rate.part), words::count(rate.whole));
        let few = if is_small { ", too few to decide" } else { "" };
        let text = format!("{shown}: {} ({counted}{few})", percent(rate.rate));
        let short: String = text.chars().take(62).collect();
        label(&mut picture, "", "start", (4.0, y), &short);
        line(&mut picture, "axis", (LEFT, y + 16.0), (RIGHT, y + 16.0));
        line(&mut picture, "interval", (axes.x(rate.low), y + 16.0), (axes.x(rate.high), y + 16.0));
        dot(&mut picture, if is_small { "hollow" } else { "dot" }, (axes.x(rate.rate), y + 16.0), 5.0);
        texts.push(format!("{text}, between {} and {}", percent(rate.low), percent(rate.high)));
        y += 44.0;
    }
    for tick in 0..=TICKS {
        let part = f64::from(tick) / f64::from(TICKS);
        label(&mut picture, "soft", "middle", (axes.x(part), y), &percent(part));
    }
    let says = format!("{} by {}: {}", rule.metric, rule.rule.slice, texts.join("; "));
    let caption = format!(
        "{} ({}), by {}. The dot is what was counted; the thick line is where the true rate lies at 95 % (Wilson). A hollow dot is a group with fewer than {} {}: it decides nothing.",
        rule.metric,
        words::rate_in_words(&format!("{:?}", rule.rule.metric)),
        rule.rule.slice,
        words::count(rule.rule.min_count),
        rule.of
    );
    Some(figure(y + 12.0, &says, &caption, &picture))
}
