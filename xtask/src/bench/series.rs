//! Series as Apollo stores them, two arrays in the row of their summary, beside an ordinary table with a row a sample.

use anyhow::Result;

use super::{
    site::Site,
    storage::{DAYS, numbers_of},
    table::{Cell, Table},
};
use crate::stack::DATABASE;

/// A series: what it is called, its view and the value there, its table and the arrays there.
struct Series {
    name: &'static str,
    view: &'static str,
    value: &'static str,
    table: &'static str,
    arrays: &'static str,
}

const SERIES: [Series; 5] = [
    Series {
        name: "heart rate",
        view: "heart_rate_sample",
        value: "heart_rate",
        table: "daily_summary",
        arrays: "heart_rate",
    },
    Series {
        name: "stress",
        view: "stress_sample",
        value: "stress_level",
        table: "stress_summary",
        arrays: "stress_level",
    },
    Series {
        name: "body battery",
        view: "body_battery_sample",
        value: "body_battery",
        table: "stress_summary",
        arrays: "body_battery",
    },
    Series {
        name: "respiration",
        view: "respiration_sample",
        value: "respiration",
        table: "respiration_summary",
        arrays: "epoch_to_breaths",
    },
    Series { name: "HRV", view: "hrv_sample", value: "hrv", table: "hrv_summary", arrays: "hrv" },
];

/// How often each query is asked, of which the median counts.
const TIMES: u32 = 21;

/// `bench.milliseconds` is the median of a query's time in the server, with its planning.
const PREPARE: &str = "
    CREATE SCHEMA bench;
    CREATE FUNCTION bench.milliseconds(query text, times integer) RETURNS double precision
    LANGUAGE plpgsql AS $$
    DECLARE
        begun timestamptz;
        taken double precision[] := '{}';
    BEGIN
        FOR time IN 1..times LOOP
            begun := clock_timestamp();
            EXECUTE query;
            taken := taken || extract(epoch FROM clock_timestamp() - begun)::double precision * 1000;
        END LOOP;
        RETURN (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY one) FROM unnest(taken) AS one);
    END
    $$";

/// The same data both ways, and the same queries on both.
pub(super) fn measure(site: &Site<'_>, user_days: f64) -> Result<Table> {
    site.postgres().execute(DATABASE, PREPARE)?;
    let mut table = Table::new(
        "series",
        format!(
            "A participant's day of samples as arrays (a table of nothing but them and their key) and as an ordinary table \
             with a row a sample and the key (user_id, time); and one user's samples of a day and of {DAYS} days, read \
             through Apollo's view and from the ordinary table (median of {TIMES}, warm, in the server)."
        ),
        vec![
            "series",
            "samples a day",
            "arrays",
            "rows",
            "rows : arrays",
            "a day from arrays",
            "a day from rows",
            "30 days from arrays",
            "30 days from rows",
        ],
    );
    for series in &SERIES {
        table.rows.push(series.row(site, user_days)?);
    }
    Ok(table)
}

impl Series {
    fn row(&self, site: &Site<'_>, user_days: f64) -> Result<Vec<Cell>> {
        let query = |sql: String| numbers_of(&site.postgres().query(DATABASE, &sql)?);
        site.postgres().execute(DATABASE, &self.tables())?;
        // Apart, because VACUUM cannot be in a transaction with anything else.
        site.postgres().execute(DATABASE, &format!("VACUUM ANALYZE bench.{0}_rows", self.view))?;
        site.postgres().execute(DATABASE, &format!("VACUUM ANALYZE bench.{0}_arrays", self.view))?;
        let sizes = query(self.sizes())?;
        let [samples, arrays, rows] = sizes[..].try_into()?;
        let times = query(self.times())?;
        let mut cells = vec![
            Cell::Text(self.name.to_owned()),
            Cell::Count(samples / user_days),
            Cell::Bytes(arrays / user_days),
            Cell::Bytes(rows / user_days),
            Cell::ratio(rows, arrays),
        ];
        cells.extend(times.into_iter().map(Cell::Milliseconds));
        Ok(cells)
    }

    /// Filled day by day, as they would be while a study goes on.
    fn tables(&self) -> String {
        let Self { view, value, table, arrays, .. } = self;
        format!(
            "CREATE TABLE bench.{view}_rows AS
             SELECT DISTINCT ON (time::date, user_id, time) user_id, time, {value} FROM garmin_wellness.{view}
             ORDER BY time::date, user_id, time;
             ALTER TABLE bench.{view}_rows ADD PRIMARY KEY (user_id, time);
             CREATE TABLE bench.{view}_arrays AS
             SELECT user_id, start_time, {arrays}_offsets, {arrays}_values FROM garmin_wellness.{table}
             WHERE {arrays}_values IS NOT NULL ORDER BY start_time::date, user_id;
             ALTER TABLE bench.{view}_arrays ADD PRIMARY KEY (user_id, start_time)"
        )
    }

    fn sizes(&self) -> String {
        format!(
            "SELECT count(*), pg_total_relation_size('bench.{0}_arrays'), pg_total_relation_size('bench.{0}_rows')
             FROM bench.{0}_rows",
            self.view
        )
    }

    /// A condition on `start_time` too is what makes a view quick: its comment says so.
    fn times(&self) -> String {
        let Self { view, value, .. } = self;
        let query = |relation: String, column: &str, from: u32, to: u32| {
            format!(
                "bench.milliseconds(format('SELECT time, {value} FROM {relation} WHERE user_id = %L \
                 AND {column} >= %L AND {column} < %L ORDER BY time', user_id, first + {from}, first + {to}), {TIMES})"
            )
        };
        let middle = DAYS / 2;
        let (view_name, rows) = (format!("garmin_wellness.{view}"), format!("bench.{view}_rows"));
        format!(
            "SELECT {}, {}, {}, {} FROM (
                 SELECT user_id, min(time)::date AS first FROM bench.{view}_rows
                 GROUP BY user_id ORDER BY count(*) DESC LIMIT 1
             ) AS busiest",
            query(view_name.clone(), "start_time", middle, middle + 1),
            query(rows.clone(), "time", middle, middle + 1),
            query(view_name, "start_time", 0, DAYS),
            query(rows, "time", 0, DAYS),
        )
    }
}
