//! Markdown tables with aligned columns.

/// A table with a heading.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns.
    pub fn new<const N: usize>(heading: [&str; N]) -> Table {
        Table::with_columns(heading.map(str::to_owned).to_vec())
    }

    /// A table with these columns.
    pub fn with_columns(heading: Vec<String>) -> Table {
        Table { rows: vec![heading] }
    }

    /// Adds a row; missing cells are empty.
    pub fn row<I: IntoIterator<Item = String>>(&mut self, cells: I) {
        // a bar or a line break would end the cell
        let plain = |cell: String| cell.replace('|', "\\|").replace('\n', " ");
        let mut row: Vec<String> = cells.into_iter().map(plain).collect();
        row.resize(self.rows[0].len(), String::new());
        self.rows.push(row);
    }

    /// The table as text.
    pub fn markdown(&self) -> String {
        let columns = self.rows[0].len();
        let width =
            |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0).max(3);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!(" {cell:<width$} |"));
            format!("|{}\n", cells.collect::<String>())
        };
        let rule: String = widths.iter().map(|width| format!("{}|", "-".repeat(width + 2))).collect();
        let mut text = line(&self.rows[0]);
        text.push_str(&format!("|{rule}\n"));
        text.extend(self.rows[1..].iter().map(line));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_aligned_and_escaped() {
        let mut table = Table::new(["a", "long name"]);
        table.row(["x|y\nz".to_owned()]);
        assert_eq!(
            table.markdown(),
            "| a      | long name |\n|--------|-----------|\n| x\\|y z |           |\n"
        );
    }
}
