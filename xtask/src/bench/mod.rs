//! `cargo xtask bench`: how near Apollo comes to what its broker and its database can do on this machine.
//!
//! Each section has a stack to itself and gives tables, in which every figure of Apollo's stands beside its baseline of
//! the same run. What loads the programs, and what they are compared with, is `apollo-bench` (the crate `bench`).

mod drain;
mod psql;
mod receiver;
mod site;
mod table;
mod worker;

use std::fs;

use anyhow::Result;
use clap::ValueEnum as _;

use self::{site::Site, table::Table};
use crate::{
    cli::{Bench, BenchSection},
    stack::{self, Purpose, Stack},
    ui, up, workspace,
};

/// Runs the sections that were asked for, prints their tables, and keeps them.
///
/// # Errors
/// Something does not start, lost something, or the user has asked to stop.
pub(crate) fn run(options: &Bench) -> Result<()> {
    stack::install_missing(Purpose::Stack)?;
    up::build(&["apollo-receiver", "apollo-worker", "apollo-simulator", "apollo-bench"])?;
    let folder = workspace::target_directory()?.join("bench");
    fs::create_dir_all(&folder)?;
    let all = BenchSection::value_variants();
    let sections = if options.sections.is_empty() { all } else { &options.sections };
    for section in sections {
        for table in measure(*section, options)? {
            println!("\n{table}");
            fs::write(folder.join(format!("{}.json", table.name)), table.to_json()?)?;
        }
    }
    ui::step(format_args!("the same as JSON is in {}", folder.display()));
    Ok(())
}

fn measure(section: BenchSection, options: &Bench) -> Result<Vec<Table>> {
    let stack = ui::timed("start PostgreSQL and RabbitMQ", || Stack::start("bench"))?;
    let site = Site::new(&stack, options)?;
    match section {
        BenchSection::Receiver => receiver::measure(&site),
        BenchSection::Worker => worker::measure(&site, &options.types),
    }
}
