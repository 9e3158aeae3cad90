//! `cargo xtask bench`: how near Apollo comes to what its broker and its database can do on this machine.
//!
//! Each section has a stack to itself and gives tables, in which every figure of Apollo's stands beside its baseline of
//! the same run. What loads the programs, and what they are compared with, is `apollo-bench` (the crate `bench`).

mod backlog;
pub(crate) mod drain;
mod footprint;
mod lag;
mod large;
mod memory;
mod plot;
pub(crate) mod psql;
mod receiver;
mod series;
pub(crate) mod site;
mod storage;
pub(crate) mod table;
mod worker;

use std::fs;

use anyhow::{Result, ensure};
use clap::ValueEnum as _;

use self::{site::Site, table::Table};
use crate::{
    cli::{Bench, BenchSection},
    stack::{self, Purpose, Stack},
    ui, up, workspace,
};

/// What is built: all of it even for who needs less, because cargo then compiles what they share once and for all.
pub(crate) const PROGRAMS: [&str; 4] =
    ["apollo-receiver", "apollo-worker", "apollo-simulator", "apollo-bench"];

/// Runs the sections that were asked for, prints their tables, and keeps them.
///
/// # Errors
/// Something does not start, lost something or took more memory than it may, or the user has asked to stop.
pub(crate) fn run(options: &Bench) -> Result<()> {
    stack::install_missing(Purpose::Stack)?;
    up::build(&PROGRAMS)?;
    let folder = workspace::target_directory()?.join("bench");
    fs::create_dir_all(&folder)?;
    let all = BenchSection::value_variants();
    let sections = if options.sections.is_empty() { all } else { &options.sections };
    let (mut pictures, mut over) = (0, Vec::new());
    for section in sections {
        let tables = measure(*section, options)?;
        for table in &tables {
            println!("\n{table}");
            fs::write(folder.join(format!("{}.json", table.name)), table.to_json()?)?;
        }
        pictures += plot::write(&folder, &tables)?.len();
        over.extend(memory::over_the_limit(&tables));
    }
    ui::step(format_args!("the same as JSON is in {}, with {pictures} plots", folder.display()));
    ensure!(over.is_empty(), "too much memory: {}", over.join("; "));
    Ok(())
}

fn measure(section: BenchSection, options: &Bench) -> Result<Vec<Table>> {
    let stack = ui::timed("start PostgreSQL and RabbitMQ", || Stack::start("bench"))?;
    let site = Site::new(&stack, up::release_folder()?, options.quick, &options.set)?;
    match section {
        BenchSection::Receiver => receiver::measure(&site),
        BenchSection::Worker => worker::measure(&site, &options.types),
        BenchSection::Large => large::measure(&site),
        BenchSection::Lag => lag::measure(&site),
        BenchSection::Footprint => footprint::measure(&site),
        BenchSection::Storage => storage::measure(&site),
    }
}
