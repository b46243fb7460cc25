//! The ratios as horizontal bars, in benches/results.svg.

use super::results::{Outcome, PARTS};

const WIDTH: usize = 900;
const LABELS: usize = 300;
const LINE: usize = 18;
/// Ratios beyond this are cut; their number still tells them.
const MOST: f64 = 2.0;

/// A drawing with a bar for each ratio, and a line where both modules cost the same.
pub fn svg(outcomes: &[Outcome]) -> String {
    let mut body = String::new();
    let mut y = 40;
    for part in PARTS {
        let mut bars = outcomes.iter().filter(|outcome| outcome.part == part).peekable();
        if bars.peek().is_none() {
            continue;
        }
        y += LINE;
        body.push_str(&text(10, y, "start", "bold", title(part)));
        for (outcome, ratio) in bars.filter_map(|outcome| Some((outcome, outcome.ratio?))) {
            y += LINE;
            body.push_str(&bar(outcome, ratio, y));
        }
        y += LINE;
    }
    let (height, one) = (y + LINE, LABELS + scaled(1.0));
    let head = "this module's cost over the C module's; left of the line this module costs less";
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"white\"/>\n\
         {}{body}<path d=\"M{one} 34V{y}\" stroke=\"black\"/>\n</svg>\n",
        text(10, 20, "start", "bold", head),
    )
}

fn title(part: &str) -> &'static str {
    match part {
        "requests" => "instructions per request",
        "calls" => "per call",
        "cpu" => "CPU time per request",
        "misses" => "misses",
        "contention" => "shared dictionary, many workers",
        "bodies" => "large bodies",
        _ => "growth",
    }
}

fn bar(outcome: &Outcome, ratio: f64, y: usize) -> String {
    let (width, top) = (scaled(ratio.min(MOST)), y - LINE * 2 / 3);
    let colour = if ratio <= 1.0 { "#3b7dd8" } else { "#d8743b" };
    let name = format!("{}, {}", outcome.row, outcome.measure);
    format!(
        "{}<rect x=\"{LABELS}\" y=\"{top}\" width=\"{width}\" height=\"13\" fill=\"{colour}\"/>\n{}",
        text(LABELS - 8, y, "end", "normal", &name),
        text(LABELS + width + 6, y, "start", "normal", &format!("{ratio:.2}")),
    )
}

fn scaled(ratio: f64) -> usize {
    (ratio / MOST * (WIDTH - LABELS - 60) as f64) as usize
}

fn text(x: usize, y: usize, anchor: &str, weight: &str, words: &str) -> String {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    format!(
        "<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\" font-weight=\"{weight}\">{words}</text>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_its_ratio() {
        let outcome = |ours| Outcome::new("calls", "a<b", "ns", Some(ours), Some(10.0));
        let drawn = svg(&[outcome(5.0), outcome(90.0)]);
        assert!(drawn.contains("a&lt;b, ns") && !drawn.contains("instructions per"));
        assert!(
            drawn.contains(&format!("width=\"{}\" height=\"13\" fill=\"#3b7dd8\"", scaled(0.5)))
        );
        assert!(
            drawn.contains(&format!("width=\"{}\" height=\"13\" fill=\"#d8743b\"", scaled(2.0)))
        );
        assert!(drawn.contains(">9.00<"));
    }
}
