//! Columns, for people.

/// Rows under their headings, padded; nothing where there is no row. Whoever wrote an object writes no control sequences to a terminal.
pub(super) fn table<const COLUMNS: usize>(headings: [&str; COLUMNS], rows: &[[String; COLUMNS]]) -> String {
    let clean = |cell: &str| cell.replace(|letter: char| letter.is_control(), "\u{fffd}");
    let rows: Vec<_> = rows.iter().map(|row| row.each_ref().map(|cell| clean(cell))).collect();
    let headings = headings.map(str::to_owned);
    let width = |at: usize| {
        let cells = rows.iter().chain([&headings]).map(|row| row[at].chars().count());
        cells.max().unwrap_or_default()
    };
    let widths: Vec<_> = (0..COLUMNS).map(width).collect();
    let line = |row: &[String; COLUMNS]| {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    [&headings].into_iter().chain(&rows).map(line).collect::<Vec<_>>().join("\n")
}

/// What stands in a cell of which nothing is known.
pub(super) fn or_dash(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_lines_end_with_their_text() {
        let rows = [["a".to_owned(), "long one".to_owned()], ["bcd\u{1b}[2J".to_owned(), String::new()]];
        assert_eq!(table(["X", "Y"], &rows), "X        Y\na        long one\nbcd\u{fffd}[2J");
    }
}
