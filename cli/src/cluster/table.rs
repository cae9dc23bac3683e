//! Columns for people.

/// Rows under their titles, each column as wide as its widest cell, without blanks at the ends of lines.
pub(crate) fn table(titles: &[&str], rows: &[Vec<String>]) -> String {
    let titles: Vec<_> = titles.iter().map(|title| (*title).to_owned()).collect();
    let all = || std::iter::once(&titles).chain(rows);
    let width = |column: usize| all().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<_> = (0..titles.len()).map(|column| width(column).unwrap_or_default()).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    all().map(line).collect::<Vec<_>>().join("\n")
}

/// What stands in a cell that would be empty.
pub(crate) fn or_dash(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { text.to_owned() }
}

/// `1 object`, `2 objects`.
pub(crate) fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["a".to_owned(), "ü".to_owned()], vec!["long one".to_owned(), String::new()]];
        assert_eq!(table(&["ONE", "TWO"], &rows), "ONE       TWO\na         ü\nlong one");
        assert_eq!(table(&["ONE", "TWO"], &[]), "ONE  TWO");
    }

    #[test]
    fn things_are_counted_as_people_do() {
        for (count, said) in [(0, "0 keys"), (1, "1 key"), (2, "2 keys")] {
            assert_eq!(counted(count, "key"), said);
        }
    }
}
