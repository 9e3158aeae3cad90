//! Compares the activity files that were fetched with those that the simulated Garmin gives: by their digests, as both
//! know them.

use std::collections::BTreeMap;

use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlx::PgPool;

use super::{VerifyError, VerifyReport, of_table};
use crate::difference::Difference;
use crate::expectation::{Expectation, Row, RowKey};
use crate::garmin::file_content;

const ANNOUNCED: &str = "activity_file";
const TABLE: &str = "activity_file_content";

/// As they stand in the database.
type Digests = BTreeMap<RowKey, Vec<u8>>;

/// Sees that the files of these users that were announced are there, and no others.
pub(super) async fn compare(
    pool: &PgPool,
    expectation: &Expectation,
    users: &[String],
) -> Result<VerifyReport, VerifyError> {
    let mut report = VerifyReport::default();
    let mut found = digests(pool, users).await?;
    for (key, row) in expectation.keyed_rows(ANNOUNCED) {
        if !key.first().is_some_and(|user| users.contains(user)) {
            continue;
        }
        match found.remove(key) {
            Some(digest) => {
                report.files += 1;
                let expected = Sha256::digest(content(row));
                if digest != *expected {
                    report.files_different += 1;
                    let [expected, digest] = [&expected[..], &digest].map(hexadecimal);
                    report.describe(|| Difference::different(TABLE, key, "sha256", expected, digest));
                }
            }
            None => {
                report.files_missing += 1;
                report.describe(|| Difference::missing(TABLE, key));
            }
        }
    }
    for key in found.keys() {
        report.unexpected += 1;
        report.describe(|| Difference::unexpected(TABLE, key));
    }
    Ok(report)
}

async fn digests(pool: &PgPool, users: &[String]) -> Result<Digests, VerifyError> {
    let rows: Vec<(String, String, String, Vec<u8>)> = sqlx::query_as(
        "SELECT user_id, summary_id, file_type, sha256 FROM garmin_wellness.activity_file_content \
         WHERE user_id = ANY($1)",
    )
    .bind(users)
    .fetch_all(pool)
    .await
    .map_err(|error| of_table(TABLE, error))?;
    Ok(rows.into_iter().map(|(user, summary, kind, digest)| (vec![user, summary, kind], digest)).collect())
}

/// What the simulated Garmin gives for that row. The number of the activity stands before `-file`, or is all there is.
fn content(row: &Row) -> Vec<u8> {
    let text = |column| row.get(column).and_then(Value::as_str).unwrap_or_default();
    let summary_id = text("summary_id");
    let id = summary_id.strip_suffix("-file").unwrap_or(summary_id).parse().unwrap_or_default();
    file_content(id, text("file_type"))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
