//! Tables in plain text: columns as wide as their widest cell, two spaces between, no frame.

use super::paint;
use super::width::{columns, cut, pad};

/// A table that is laid out when all of its rows are known.
#[derive(Debug, Default)]
pub struct Table {
    titles: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

/// One cell; the text has been escaped, the tone is its colour.
#[derive(Debug)]
pub struct Cell {
    text: String,
    tone: Tone,
}

/// How a cell is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "as in `paint`")]
pub enum Tone {
    Plain,
    Good,
    Bad,
    Odd,
    Quiet,
}

impl Cell {
    /// A cell in a tone.
    pub fn new(text: impl Into<String>, tone: Tone) -> Self {
        Self {
            text: text.into(),
            tone,
        }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text, Tone::Plain)
    }
}

impl Table {
    /// A table with these column titles.
    pub fn new(titles: &[&'static str]) -> Self {
        Self {
            titles: titles.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row with as many cells as there are titles.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Whether it has no rows.
    pub const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The lines, titles first. With `total` columns, the `shrinkable` column gives way to make the others fit.
    pub fn lines(&self, total: Option<usize>, shrinkable: usize) -> Vec<String> {
        let widths = self.widths(total, shrinkable);
        let titles: Vec<Cell> = self
            .titles
            .iter()
            .map(|title| Cell::new(*title, Tone::Quiet))
            .collect();
        std::iter::once(&titles)
            .chain(&self.rows)
            .map(|row| layout(row, &widths))
            .collect()
    }

    fn widths(&self, total: Option<usize>, shrinkable: usize) -> Vec<usize> {
        /// Fewer columns than this say nothing.
        const LEAST: usize = 8;
        let mut widths: Vec<usize> = self.titles.iter().map(|title| columns(title)).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(columns(&cell.text));
            }
        }
        let gaps = 2 * widths.len().saturating_sub(1);
        let wanted: usize = widths.iter().sum::<usize>() + gaps;
        if let (Some(total), Some(width)) = (total, widths.get_mut(shrinkable)) {
            let excess = wanted.saturating_sub(total);
            *width = (*width).min(width.saturating_sub(excess).max(LEAST));
        }
        widths
    }
}

fn layout(row: &[Cell], widths: &[usize]) -> String {
    let last = row.len().saturating_sub(1);
    let cells = row
        .iter()
        .zip(widths)
        .enumerate()
        .map(|(index, (cell, width))| {
            let text = cut(&cell.text, *width);
            let shown = if index == last {
                text
            } else {
                pad(&text, *width)
            };
            coloured(&shown, cell.tone)
        });
    cells.collect::<Vec<_>>().join("  ")
}

fn coloured(text: &str, tone: Tone) -> String {
    match tone {
        Tone::Plain => text.to_owned(),
        Tone::Good => paint::good(text),
        Tone::Bad => paint::bad(text),
        Tone::Odd => paint::odd(text),
        Tone::Quiet => paint::quiet(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(lines: &[String]) -> String {
        anstream::adapter::strip_str(&lines.join("\n")).to_string()
    }

    #[test]
    fn columns_line_up_and_the_last_is_not_padded() {
        let mut table = Table::new(&["NAME", "URL"]);
        table.row(["orders".into(), "http://a".into()]);
        table.row(["x".into(), "http://bcd".into()]);

        assert_eq!(
            plain(&table.lines(None, 0)),
            "NAME    URL\norders  http://a\nx       http://bcd"
        );
    }

    #[test]
    fn one_column_gives_way_on_a_narrow_terminal() {
        let mut table = Table::new(&["PATH", "STATUS"]);
        table.row(["/a/very/long/path/indeed".into(), "200".into()]);

        assert_eq!(
            plain(&table.lines(Some(20), 0)),
            "PATH          STATUS\n/a/very/lon…  200"
        );
    }
}
