use super::*;

fn text(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

fn draw(table: Table) -> String {
    let folder = tempfile::tempdir().unwrap();
    let name = table.name;
    let others = Table::new("lag", "Drawn by nobody.", vec!["load"]);
    let files = write(folder.path(), &[others, table]).unwrap();
    assert_eq!(files, [folder.path().join(format!("{name}.svg"))]);
    let picture = fs::read_to_string(&files[0]).unwrap();
    assert!(picture.len() < 30_000, "{} bytes are too many for a page", picture.len());
    picture
}

#[test]
fn a_receiver_has_a_panel_for_each_size_and_a_line_for_each_rate() {
    let columns = vec!["body", "connections", "Apollo POSTs/s", "broker msgs/s", "of broker"];
    let mut table = Table::new("receiver", "Rates.", columns);
    for body in [1000.0, 30_000.0] {
        for connections in [1.0, 64.0] {
            let rate = Cell::Count(1000.0 * connections);
            let row = vec![Cell::Bytes(body), Cell::Count(connections), rate.clone(), rate, Cell::Ratio(1.0)];
            table.rows.push(row);
        }
    }
    let picture = draw(table);
    assert_eq!(picture.matches("<polyline").count(), 4);
    assert_eq!(picture.matches(">connections</text>").count(), 2);
    assert!(picture.contains(">Apollo</text>") && picture.contains(">broker</text>"), "{picture}");
}

#[test]
fn a_worker_has_bars_in_shares_of_psql() {
    let columns =
        vec!["type", "rows/s with 1 worker", "ratio with 1", "rows/s with 2 workers", "ratio with 2"];
    let mut table = Table::new("worker", "Rates.", columns);
    table.rows.push(vec![
        text("R&R"),
        Cell::Count(12_000.0),
        Cell::Ratio(0.8),
        Cell::Count(15_000.0),
        Cell::Missing,
    ]);
    let picture = draw(table);
    assert!(picture.contains(">0.80 (12,000 rows/s)<") && !picture.contains("15,000"), "{picture}");
    assert!(picture.contains(">R&amp;R<") && picture.contains(">psql<"), "{picture}");
}

#[test]
fn series_are_drawn_in_bytes() {
    let mut table = Table::new("series", "Bytes.", vec!["series", "arrays", "rows", "rows : arrays"]);
    table.rows.push(vec![
        text("heart rate"),
        Cell::Bytes(2048.0),
        Cell::Bytes(40_960.0),
        Cell::ratio(40_960.0, 2048.0),
    ]);
    let picture = draw(table);
    assert!(
        picture.contains(">2.0 KiB<") && picture.contains(">40.0 KiB (20.00 times the arrays)<"),
        "{picture}"
    );
}
