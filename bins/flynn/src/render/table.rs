use crate::output::{Style, Tone, printable};

/// Rows below headings.
///
/// Aligned for a terminal; in a pipe the fields of a row are separated by tabs and there are no headings.
#[derive(Debug)]
pub(crate) struct Table {
    headings: &'static [&'static str],
    rows: Vec<Vec<Cell>>,
    /// What is said on a terminal if there is no row.
    empty: &'static str,
}

/// One field.
#[derive(Debug)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    pub(crate) fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: printable(&text.into()), tone }
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::toned(text, Tone::Plain)
    }
}

const GAP: &str = "  ";

impl Table {
    pub(crate) fn new(headings: &'static [&'static str], empty: &'static str) -> Self {
        Self { headings, rows: Vec::new(), empty }
    }

    /// Adds a row with a field for each heading.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub(crate) fn render(&self, style: Style) -> String {
        if !style.aligned {
            let line =
                |row: &Vec<Cell>| row.iter().map(|cell| cell.text.as_str()).collect::<Vec<_>>().join("\t") + "\n";
            return self.rows.iter().map(line).collect();
        }
        if self.rows.is_empty() {
            return format!("{}\n", self.empty);
        }
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column)).map(Cell::width);
            cells.chain(self.headings.get(column).map(|heading| heading.len())).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.headings.len()).map(width).collect();
        let headings: Vec<_> = self.headings.iter().map(|heading| Cell::toned(*heading, Tone::Faint)).collect();
        std::iter::once(&headings).chain(&self.rows).map(|row| aligned(row, &widths, style)).collect()
    }
}

fn aligned(row: &[Cell], widths: &[usize], style: Style) -> String {
    let mut line = String::new();
    for (index, (cell, width)) in row.iter().zip(widths).enumerate() {
        line.push_str(&style.tone(cell.tone, &cell.text));
        if index + 1 < row.len() {
            line.push_str(&" ".repeat(width - cell.width()));
            line.push_str(GAP);
        }
    }
    format!("{}\n", line.trim_end())
}

/// Named values, one a line.
#[derive(Debug, Default)]
pub(crate) struct Fields(Vec<(&'static str, Cell)>);

impl Fields {
    /// Adds a value.
    #[must_use]
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Cell>) -> Self {
        self.0.push((name, value.into()));
        self
    }

    /// Adds a value that may not be there.
    #[must_use]
    pub(crate) fn with_some(self, name: &'static str, value: Option<impl Into<Cell>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    pub(crate) fn render(&self, style: Style) -> String {
        let width = self.0.iter().map(|(name, _)| name.len() + 1).max().unwrap_or(0);
        let line = |(name, value): &(&str, Cell)| {
            let value = style.tone(value.tone, &value.text);
            match style.aligned {
                true => format!("{}{} {value}\n", style.bold(&format!("{name}:")), " ".repeat(width - name.len() - 1)),
                false => format!("{name}\t{value}\n"),
            }
        };
        self.0.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLOUR: Style = Style { aligned: true, colour: true };
    const ALIGNED: Style = Style { aligned: true, colour: false };

    fn table() -> Table {
        let mut table = Table::new(&["NAME", "STATE"], "No apps yet.");
        table.row(["web".into(), Cell::toned("up", Tone::Good)]);
        table.row(["a-longer-name".into(), Cell::from("x\ty")]);
        table
    }

    #[test]
    fn a_table_is_aligned_on_a_terminal_and_bare_in_a_pipe() {
        assert_eq!(table().render(ALIGNED), "NAME           STATE\nweb            up\na-longer-name  x y\n");
        assert_eq!(table().render(Style::PLAIN), "web\tup\na-longer-name\tx y\n");
        assert_eq!(
            table().render(COLOUR),
            "\u{1b}[2mNAME\u{1b}[0m           \u{1b}[2mSTATE\u{1b}[0m\nweb            \u{1b}[32mup\u{1b}[0m\na-longer-name  x y\n"
        );
    }

    #[test]
    fn an_empty_table_says_so_to_people_alone() {
        let table = Table::new(&["NAME"], "No apps yet.");
        assert_eq!((table.render(ALIGNED).as_str(), table.render(Style::PLAIN).as_str()), ("No apps yet.\n", ""));
    }

    #[test]
    fn fields_are_aligned_on_a_terminal() {
        let fields = Fields::default().with("Name", "web").with("Release", "v3").with_some("Gone", None::<&str>);
        assert_eq!(fields.render(ALIGNED), "Name:    web\nRelease: v3\n");
        assert_eq!(fields.render(Style::PLAIN), "Name\tweb\nRelease\tv3\n");
    }
}
