//! `apollo-worker subjects show`.

use super::state;
use crate::cli::{database, output, tokens};
use crate::config::DatabaseConfig;
use crate::store::accounts::Subject;
use crate::store::overview::{self, Refusal, TableCount, TokenState};
use crate::summaries::Registry;
use apollo_shared::consent::SubjectId;
use clap::Args;
use serde_json::{Value, json};

/// Which subject, and how.
#[derive(Debug, Args)]
pub(in crate::cli) struct ShowOptions {
    /// The study's name for the participant
    #[arg(value_parser = SubjectId::parse)]
    subject: SubjectId,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    database: DatabaseConfig,
}

/// What is known and stored of a subject.
struct Shown {
    subject: Subject,
    tokens: Vec<TokenState>,
    tables: Vec<TableCount>,
    refusals: Vec<Refusal>,
}

/// Prints it.
pub(super) async fn run(options: ShowOptions) -> anyhow::Result<()> {
    let mut connection = database::connect(&options.database).await?;
    let subject = super::find(&mut connection, &options.subject).await?;
    let tokens = overview::tokens_of_user(&mut connection, &subject.user_id).await?;
    let tables = overview::rows_of_user(&mut connection, &Registry::new(), &subject.user_id).await?;
    let refusals = overview::refusals_of_user(&mut connection, &subject.user_id).await?;
    let shown = Shown { subject, tokens, tables, refusals };
    let text = if options.json { format!("{:#}\n", shown.to_json()) } else { shown.to_text() };
    Ok(output::print(text.as_bytes())?)
}

impl Shown {
    fn to_json(&self) -> Value {
        let Self { subject, tokens, tables, refusals } = self;
        let moment = |moment| Some(output::moment(moment)).filter(|text| !text.is_empty());
        let tokens = tokens.iter().map(|token| {
            json!({
                "oauth_version": token.oauth_version,
                "state": token.state,
                "created_at": moment(Some(token.created_at)),
                "expires_at": moment(token.expires_at),
                "refresh_expires_at": moment(token.refresh_expires_at),
            })
        });
        let tables = tables.iter().map(|table| {
            json!({
                "table": table.table,
                "rows": table.rows,
                "newest_received_at": moment(table.newest_received_at),
            })
        });
        let refusals = refusals.iter().map(|refusal| {
            json!({
                "type": refusal.summary_type,
                "status": refusal.status,
                "count": refusal.count,
                "last_at": moment(Some(refusal.last_at)),
            })
        });
        json!({
            "subject_id": subject.subject_id,
            "user_id": subject.user_id,
            "active": subject.active,
            "linked_at": moment(subject.linked_at),
            "registered_at": moment(subject.registered_at),
            "deregistered_at": moment(subject.deregistered_at),
            "permissions": subject.permissions,
            "tokens": tokens.collect::<Vec<_>>(),
            "tables": tables.collect::<Vec<_>>(),
            "not_permitted": refusals.collect::<Vec<_>>(),
        })
    }

    fn to_text(&self) -> String {
        let Self { subject, tokens, tables, refusals } = self;
        let permissions = match subject.permissions.as_deref() {
            None => "not known".to_owned(),
            Some([]) => "none".to_owned(),
            Some(names) => names.join(", "),
        };
        let facts = [
            ("user", subject.user_id.clone()),
            ("state", state(subject).to_owned()),
            ("linked", output::moment(subject.linked_at)),
            ("registered", output::moment(subject.registered_at)),
            ("deregistered", output::moment(subject.deregistered_at)),
            ("permissions", permissions),
        ];
        let facts: Vec<Vec<String>> =
            facts.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
        let mut text = output::table(&["subject", &subject.subject_id], &facts);
        if tokens.is_empty() {
            text.push_str("\nno tokens\n");
        } else {
            let rows: Vec<Vec<String>> = tokens.iter().map(token_row).collect();
            let names = ["TOKEN", "STATE", "STORED", "EXPIRES", "RENEWABLE UNTIL"];
            text.push('\n');
            text.push_str(&output::table(&names, &rows));
        }
        if tables.is_empty() {
            text.push_str("\nno data\n");
        } else {
            let rows: Vec<Vec<String>> = tables.iter().map(table_row).collect();
            text.push('\n');
            text.push_str(&output::table(&["TABLE", "ROWS", "NEWEST RECEIVED"], &rows));
        }
        if !refusals.is_empty() {
            let rows: Vec<Vec<String>> = refusals.iter().map(refusal_row).collect();
            text.push('\n');
            text.push_str(&output::table(&["NOT PERMITTED", "ANSWER", "TIMES", "LAST"], &rows));
        }
        text
    }
}

fn token_row(token: &TokenState) -> Vec<String> {
    vec![
        tokens::version(token.oauth_version).to_owned(),
        token.state.clone(),
        output::moment(Some(token.created_at)),
        output::moment(token.expires_at),
        output::moment(token.refresh_expires_at),
    ]
}

fn table_row(table: &TableCount) -> Vec<String> {
    vec![table.table.clone(), table.rows.to_string(), output::moment(table.newest_received_at)]
}

fn refusal_row(refusal: &Refusal) -> Vec<String> {
    vec![
        refusal.summary_type.clone(),
        refusal.status.to_string(),
        refusal.count.to_string(),
        output::moment(Some(refusal.last_at)),
    ]
}
