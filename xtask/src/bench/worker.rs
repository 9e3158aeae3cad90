//! The worker's rate for each type, from a queue filled beforehand, beside psql.

use anyhow::Result;

use super::{site::Site, table::Table};

pub(crate) fn measure(site: &Site<'_>) -> Result<Vec<Table>> {
    let _ = site;
    Ok(Vec::new())
}
