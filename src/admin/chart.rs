//! Draws charts as SVG, so that a page needs no script and loads nothing.
//!
//! A chart is an image with a name and a sentence that describes it; its numbers are in a table next to it.

use std::fmt::Write as _;

/// The size of the image in its own units. Small, so that its text is readable on a phone.
const WIDTH: f64 = 360.0;
const HEIGHT: u16 = 150;
/// The space for the numbers on the left, and for the labels below.
const LEFT: f64 = 34.0;
const BELOW: f64 = 18.0;
const ABOVE: f64 = 8.0;
/// How many labels are readable if there are many columns; if there are few, all are shown.
const LABELS: usize = 6;
const FEW: usize = 8;

/// One color of a stacked column.
#[derive(Clone, Debug)]
pub(super) struct Series {
    pub(super) name: &'static str,
    /// A class of the style sheet, such as `good`.
    pub(super) class: &'static str,
    pub(super) values: Vec<u64>,
}

/// Columns side by side, each a stack of the series.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    /// Unique on its page; letters and hyphens.
    pub(super) id: &'static str,
    pub(super) title: String,
    /// The label of each column.
    pub(super) labels: Vec<String>,
    pub(super) series: Vec<Series>,
    /// Formats a number, such as `3 min`.
    pub(super) say: fn(u64) -> String,
}

impl Columns {
    /// Whether all values are zero.
    pub(super) fn is_empty(&self) -> bool {
        self.series.iter().all(|series| series.values.iter().all(|value| *value == 0))
    }

    /// A sentence that describes the chart for users who cannot see it.
    pub(super) fn description(&self) -> String {
        let parts: Vec<String> = self
            .series
            .iter()
            .map(|series| {
                let most = series.values.iter().copied().max().unwrap_or(0);
                let name = series.name.to_lowercase();
                match series.values.iter().rposition(|value| *value == most && most > 0) {
                    Some(at) => format!("{name}: at most {}, {}", (self.say)(most), self.labels[at]),
                    None => format!("{name}: none"),
                }
            })
            .collect();
        format!("{} columns. {}.", self.labels.len(), parts.join("; "))
    }

    /// The first series as horizontal bars, each with its label above it: for labels that are too long to fit below columns.
    pub(super) fn bars(&self) -> String {
        const ROW: usize = 34;
        let values = self.series.first().map(|series| (series.class, &*series.values)).unwrap_or_default();
        let top = values.1.iter().copied().max().unwrap_or(0).max(1);
        let height = (values.1.len() * ROW).max(ROW);
        let mut svg = self.begin(height);
        for (row, (label, value)) in self.labels.iter().zip(values.1).enumerate() {
            let (y, said) = (row * ROW, (self.say)(*value));
            let wide = (*value as f64 / top as f64 * WIDTH).max(1.5);
            put(
                &mut svg,
                &format!(
                    "<text class=\"axis\" x=\"0\" y=\"{}\">{}</text><text class=\"axis\" x=\"{WIDTH}\" y=\"{}\" text-anchor=\"end\">{}</text>\
                 <rect class=\"{}\" x=\"0\" y=\"{}\" width=\"{wide:.1}\" height=\"10\"/>",
                    y + 13,
                    escape(label),
                    y + 13,
                    escape(&said),
                    values.0,
                    y + 18,
                ),
            );
        }
        svg + "</svg>"
    }

    fn begin(&self, height: usize) -> String {
        format!(
            "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-labelledby=\"{id}-title {id}-text\">\
             <title id=\"{id}-title\">{title}</title><desc id=\"{id}-text\">{text}</desc>",
            id = self.id,
            title = escape(&self.title),
            text = escape(&self.description()),
        )
    }

    /// The image. It contains only numbers and escaped strings.
    pub(super) fn svg(&self) -> String {
        let count = self.labels.len().max(1);
        let total = |column: usize| self.series.iter().map(|series| series.values[column]).sum::<u64>();
        let top = nice((0..self.labels.len()).map(total).max().unwrap_or(0));
        let (width, height) = (WIDTH - LEFT - 4.0, f64::from(HEIGHT) - ABOVE - BELOW);
        let step = width / count as f64;
        let y = |value: f64| ABOVE + height - value / top as f64 * height;
        let mut svg = self.begin(usize::from(HEIGHT));
        for part in 0..=2_u64 {
            // Half of an odd number is not an integer, so that line gets no label.
            let value = top / 2 * part + top % 2 * (part / 2);
            let said = if part == 1 && top % 2 == 1 { String::new() } else { (self.say)(value) };
            let value = if part == 1 { top as f64 / 2.0 } else { value as f64 };
            put(
                &mut svg,
                &format!(
                    "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text class=\"axis\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                    WIDTH - 4.0,
                    LEFT - 4.0,
                    y(value) + 3.0,
                    escape(&said),
                    y = y(value),
                ),
            );
        }
        let every = if count <= FEW { 1 } else { count.div_ceil(LABELS) };
        for (column, label) in self.labels.iter().enumerate() {
            let x = LEFT + step * column as f64;
            let said: Vec<String> = self
                .series
                .iter()
                .map(|series| format!("{} {}", (self.say)(series.values[column]), series.name.to_lowercase()))
                .collect();
            put(&mut svg, &format!("<g><title>{}: {}</title>", escape(label), escape(&said.join(", "))));
            let mut below = 0.0;
            for series in &self.series {
                let value = series.values[column] as f64;
                if value > 0.0 {
                    // A value above zero is visible, however small it is.
                    let tall = (value / top as f64 * height).max(1.5);
                    put(
                        &mut svg,
                        &format!(
                            "<rect class=\"{}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{tall:.1}\"/>",
                            series.class,
                            x + step * 0.1,
                            y(0.0) - below - tall,
                            (step * 0.8).min(28.0),
                        ),
                    );
                    below += tall;
                }
            }
            svg.push_str("</g>");
            // Counted from the right, because the latest value matters most.
            if (count - 1 - column).is_multiple_of(every) {
                put(
                    &mut svg,
                    &format!(
                        "<text class=\"axis\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                        (x + step / 2.0).min(WIDTH - 18.0),
                        f64::from(HEIGHT) - 5.0,
                        escape(label),
                    ),
                );
            }
        }
        svg.push_str("</svg>");
        svg
    }
}

fn put(svg: &mut String, text: &str) {
    // Writing to a string cannot fail.
    let _ok = svg.write_str(text);
}

/// The smallest number of the form 1, 2 or 5 times a power of ten that is not smaller than `most`, and at least 2.
fn nice(most: u64) -> u64 {
    let mut power: u64 = 1;
    loop {
        for factor in [1, 2, 5] {
            let nice = power.saturating_mul(factor);
            if nice >= most.max(2) {
                return nice;
            }
        }
        power = power.saturating_mul(10);
    }
}

/// Escapes text for an element or an attribute.
pub(super) fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut escaped, one| {
        match one {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            one => escaped.push(one),
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(values: Vec<u64>) -> Columns {
        Columns {
            id: "tasks",
            title: "Tasks <b>".into(),
            labels: (0..values.len()).map(|n| format!("\"{n}\"")).collect(),
            series: vec![Series { name: "Completed", class: "good", values }],
            say: |value| value.to_string(),
        }
    }

    #[test]
    fn chart_scale_ends_at_a_round_number() {
        let tops = [0, 1, 2, 3, 9, 10, 11, 49, 51, 1_000_001].map(nice);
        assert_eq!(tops, [2, 2, 2, 5, 10, 10, 20, 50, 100, 2_000_000]);
        assert_eq!(nice(u64::MAX), u64::MAX, "it ends");
    }

    #[test]
    fn columns_are_proportional_and_zero_draws_nothing() {
        let svg = columns(vec![0, 5, 10]).svg();
        assert_eq!(svg.matches("<rect").count(), 2);
        assert!(svg.contains("height=\"62.0\"") && svg.contains("height=\"124.0\""), "{svg}");
        assert!(svg.contains("3 columns. completed: at most 10, &quot;2&quot;."), "{svg}");
    }

    #[test]
    fn chart_escapes_names_and_renders_any_numbers() {
        for values in [vec![], vec![0], vec![u64::MAX / 2, 1], vec![1; 720]] {
            let svg = columns(values).svg();
            assert!(svg.starts_with("<svg") && svg.ends_with("</svg>") && !svg.contains("NaN"), "{svg}");
            assert!(!svg.contains("<b>") && !svg.contains("style="), "{svg}");
        }
        let bars = columns(vec![0, 5, 10]).bars();
        assert!(
            bars.matches("<rect").count() == 3
                && bars.contains("width=\"360.0\"")
                && bars.contains("width=\"180.0\""),
            "{bars}"
        );
        assert!(!bars.contains("<b>") && columns(vec![]).bars().ends_with("</svg>"));
        assert!(columns(vec![0, 0]).is_empty() && !columns(vec![0, 1]).is_empty());
    }
}
