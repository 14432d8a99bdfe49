//! `cargo xtask charts`: draws the charts of `docs/benchmarks.md` from the figures in `docs/benchmarks/results.json`.
//!
//! Each chart is an SVG image with a title and a description that contains all figures, for readers who cannot see it. It has its own
//! background and follows the reader's preference for light or dark colors, so it is readable on any page.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::failure::{Failure, Result};
use crate::tool;

/// The folder of the figures and the charts, below the root of the repository.
const FOLDER: &str = "docs/benchmarks";
const WIDTH: f64 = 640.0;
/// Where the bars start, and how long the longest of them is. The space after it is for its figure.
const LEFT: f64 = 232.0;
const LONGEST: f64 = 320.0;
const ABOVE: f64 = 44.0;
const ROW: f64 = 30.0;
const BAR: f64 = 16.0;

const STYLE: &str = "\
  .ground { fill: #ffffff; stroke: #d0d7de; }
  text { fill: #1f2328; font: 13px system-ui, sans-serif; }
  .title { font-weight: 600; }
  .bar { fill: #0969da; }
  .goal { stroke: #9a3412; stroke-width: 2; }
  .goal-text { fill: #9a3412; }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #161b22; stroke: #30363d; }
    text { fill: #e6edf3; }
    .bar { fill: #4c9be8; }
    .goal { stroke: #ffa657; }
    .goal-text { fill: #ffa657; }
  }
";

/// All charts.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Results {
    charts: Vec<Chart>,
}

/// Horizontal bars, one below the other.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Chart {
    /// The name of the image, without its ending.
    name: String,
    title: String,
    /// What a figure counts, such as `ms`; empty for a ratio.
    unit: String,
    /// The number of decimal places.
    places: usize,
    bars: Vec<Bar>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bar {
    label: String,
    value: f64,
    /// The value that was aimed for, if any.
    goal: Option<f64>,
}

/// Writes all charts.
pub(crate) fn run() -> Result<()> {
    let root = tool::root();
    for (path, image) in charts(&root)? {
        std::fs::write(&path, image).map_err(Failure::of(&path))?;
    }
    Ok(())
}

/// The path and the content of each image.
fn charts(root: &Path) -> Result<Vec<(PathBuf, String)>> {
    let folder = root.join(FOLDER);
    let path = folder.join("results.json");
    let text = std::fs::read_to_string(&path).map_err(Failure::of(&path))?;
    let results: Results = serde_json::from_str(&text)
        .map_err(|error| Failure::Unfit(format!("{}: {error}", path.display())))?;
    Ok(results
        .charts
        .iter()
        .map(|chart| (folder.join(format!("{}.svg", chart.name)), chart.draw()))
        .collect())
}

impl Chart {
    fn draw(&self) -> String {
        let rows = self.bars.iter().fold(0.0, |rows: f64, _| rows + 1.0);
        let has_goals = self.bars.iter().any(|bar| bar.goal.is_some());
        let height = ABOVE + rows * ROW + if has_goals { 30.0 } else { 12.0 };
        let longest = self
            .bars
            .iter()
            .fold(0.0, |longest: f64, bar| longest.max(bar.value).max(bar.goal.unwrap_or(0.0)));
        let length = |value: f64| if longest > 0.0 { value / longest * LONGEST } else { 0.0 };
        let mut image = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\" \
             aria-labelledby=\"title desc\">\n\
             <title id=\"title\">{}</title>\n<desc id=\"desc\">{}</desc>\n<style>\n{STYLE}</style>\n\
             <rect class=\"ground\" x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"6\"/>\n\
             <text class=\"title\" x=\"16\" y=\"26\">{}</text>\n",
            escaped(&self.title),
            escaped(&self.description()),
            WIDTH - 1.0,
            height - 1.0,
            escaped(&self.title),
        );
        let mut top = ABOVE;
        for bar in &self.bars {
            let (base, end) = (top + BAR - 3.0, length(bar.value));
            // A goal to the right of the bar would cross its figure, so the figure then stands to the right of the goal.
            let text = bar.goal.map_or(end, |goal| end.max(length(goal)));
            line(&mut image, &format!("<text x=\"16\" y=\"{base:.1}\">{}</text>", escaped(&bar.label)));
            line(
                &mut image,
                &format!(
                    "<rect class=\"bar\" x=\"{LEFT}\" y=\"{top:.1}\" width=\"{end:.1}\" height=\"{BAR}\" rx=\"2\"/>"
                ),
            );
            if let Some(goal) = bar.goal {
                let at = LEFT + length(goal);
                line(
                    &mut image,
                    &format!(
                        "<line class=\"goal\" x1=\"{at:.1}\" y1=\"{:.1}\" x2=\"{at:.1}\" y2=\"{:.1}\"/>",
                        top - 4.0,
                        top + BAR + 4.0
                    ),
                );
            }
            line(
                &mut image,
                &format!(
                    "<text x=\"{:.1}\" y=\"{base:.1}\">{}</text>",
                    LEFT + text + 8.0,
                    escaped(&self.figure(bar.value))
                ),
            );
            top += ROW;
        }
        if has_goals {
            line(
                &mut image,
                &format!("<text class=\"goal-text\" x=\"{LEFT}\" y=\"{:.1}\">| the goal</text>", top + 12.0),
            );
        }
        image.push_str("</svg>\n");
        image
    }

    fn figure(&self, value: f64) -> String {
        format!("{value:.*} {}", self.places, self.unit).trim_end().to_owned()
    }

    fn description(&self) -> String {
        let bars: Vec<String> = self
            .bars
            .iter()
            .map(|bar| {
                let goal =
                    bar.goal.map(|goal| format!(", the goal is {}", self.figure(goal))).unwrap_or_default();
                format!("{}: {}{goal}", bar.label, self.figure(bar.value))
            })
            .collect();
        format!("{}.", bars.join("; "))
    }
}

fn line(image: &mut String, text: &str) {
    image.push_str(text);
    image.push('\n');
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charts_are_drawn_from_the_figures_and_shown() {
        let root = tool::root();
        let page = std::fs::read_to_string(root.join("docs/benchmarks.md")).unwrap();
        let charts = charts(&root).unwrap();
        assert!(!charts.is_empty());
        for (path, image) in charts {
            let name = path.file_name().unwrap().to_str().unwrap();
            let found = std::fs::read_to_string(&path).unwrap_or_default();
            assert_eq!(found, image, "{name} is out of date; run `cargo xtask charts`");
            assert!(page.contains(&format!("](benchmarks/{name})")), "no page shows {name}");
        }
        let text = std::fs::read_to_string(root.join(FOLDER).join("results.json")).unwrap();
        let results: Results = serde_json::from_str(&text).unwrap();
        let labels = results.charts.iter().flat_map(|chart| &chart.bars).map(|bar| bar.label.as_str());
        let long: Vec<&str> = labels.filter(|label| label.len() > 30).collect();
        assert_eq!(long, Vec::<&str>::new(), "these labels would run into the bars");
    }

    #[test]
    fn a_chart_says_all_its_figures_in_words() {
        let bar = |label: &str, value, goal| Bar { label: label.to_owned(), value, goal };
        let chart = Chart {
            name: "a".to_owned(),
            title: "Time & <space>".to_owned(),
            unit: "ms".to_owned(),
            places: 2,
            bars: vec![bar("one", 0.5, Some(1.0)), bar("two", 2.0, None)],
        };
        let image = chart.draw();
        assert!(
            image.contains("<desc id=\"desc\">one: 0.50 ms, the goal is 1.00 ms; two: 2.00 ms.</desc>"),
            "{image}"
        );
        assert!(image.contains("<title id=\"title\">Time &amp; &lt;space&gt;</title>"), "{image}");
        assert!(
            image.contains("width=\"320.0\"") && image.contains("width=\"80.0\""),
            "the longest is the greatest value"
        );
        let empty = Chart { bars: vec![bar("none", 0.0, None)], ..chart };
        assert!(!empty.draw().contains("NaN"));
    }
}
