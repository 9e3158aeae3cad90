//! What each program has had resident at most, beside what it may have.

use super::table::{Cell, Table};
use crate::stack::Service;

const COLUMNS: [&str; 4] = ["during", "program", "peak memory", "limit"];
/// A receiver's, large single bodies aside, which `RECEIVER__MAX_IN_FLIGHT_BYTES` bounds.
pub(crate) const RECEIVER_LIMIT: u64 = 64 << 20;
/// A worker's.
pub(crate) const WORKER_LIMIT: u64 = 256 << 20;

/// See the [module](self).
#[derive(Default)]
pub(crate) struct Memory(Vec<Peak>);

struct Peak {
    during: String,
    program: String,
    bytes: u64,
    limit: Option<u64>,
}

impl Memory {
    /// Notes a peak, in bytes.
    pub(crate) fn note(&mut self, during: &str, program: &str, bytes: Option<u64>, limit: Option<u64>) {
        let (during, program) = (during.to_owned(), program.to_owned());
        self.0.extend(bytes.map(|bytes| Peak { during, program, bytes, limit }));
    }

    /// Notes a program's peak since its start.
    pub(crate) fn note_service(&mut self, during: &str, service: &Service, limit: u64) {
        self.note(during, service.name(), service.peak_memory(), Some(limit));
    }

    /// All of it under that name.
    pub(crate) fn table(&self, name: &'static str) -> Table {
        let mut table =
            Table::new(name, "Resident memory at most.", vec!["during", "program", "peak memory", "limit"]);
        table.rows = self.0.iter().map(Peak::cells).collect();
        table
    }
}

/// What was over its limit, in words.
pub(crate) fn over_the_limit(tables: &[Table]) -> Vec<String> {
    let rows = tables.iter().filter(|table| table.columns == COLUMNS).flat_map(|table| &table.rows);
    rows.filter_map(|row| match &row[..] {
        [during, program, Cell::Bytes(peak), Cell::Bytes(limit)] if peak > limit => {
            Some(format!("{program} had {} resident during {during}", Cell::Bytes(*peak)))
        }
        _ => None,
    })
    .collect()
}

impl Peak {
    fn cells(&self) -> Vec<Cell> {
        vec![
            Cell::Text(self.during.clone()),
            Cell::Text(self.program.clone()),
            Cell::Bytes(self.bytes as f64),
            self.limit.map_or(Cell::Missing, |limit| Cell::Bytes(limit as f64)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_too_much_is_named() {
        let mut memory = Memory::default();
        memory.note("a storm", "receiver", Some(65 << 20), Some(RECEIVER_LIMIT));
        memory.note("a storm", "worker", Some(65 << 20), Some(WORKER_LIMIT));
        memory.note("a storm", "RabbitMQ", Some(1 << 40), None);
        let over = over_the_limit(&[memory.table("memory")]);
        assert_eq!(over, ["receiver had 65.00 MiB resident during a storm"]);
    }
}
