//! The declaration of a summary type: what tells its summaries apart, which version of one wins, and its fields.

use super::field::Field;

/// A summary type.
#[derive(Debug, Clone, Copy)]
pub struct SummaryType {
    /// The top-level key of its entries.
    pub key: &'static str,
    /// A second key under which its entries come too.
    pub second_key: Option<SecondKey>,
    /// Its table in the schema `garmin_wellness`.
    pub table: &'static str,
    /// What a row of the table is, for researchers.
    pub meaning: &'static str,
    /// The fields that tell one summary of a user from another: two entries that agree in them are versions
    /// of one summary.
    pub identity: &'static [IdentityField],
    /// The field that counts first when two versions of a summary are compared, the greater one being the newer
    /// (garmin-health-api.md 3). After it, or alone, come the time of arrival, the message's id, and the place
    /// in its body.
    pub rank: Option<&'static str>,
    /// Whether a ping, which announces something to be fetched, is a summary too.
    pub pings_are_summaries: bool,
    /// Its fields in the order of the table's columns, in groups that types share.
    pub fields: &'static [&'static [Field]],
}

/// What is the same for most types.
pub(super) const SUMMARY_TYPE: SummaryType = SummaryType {
    key: "",
    second_key: None,
    table: "",
    meaning: "",
    identity: &[],
    rank: None,
    pings_are_summaries: false,
    fields: &[],
};

/// The rank of types whose longer version wins.
pub(super) const DURATION: Option<&str> = Some("durationInSeconds");

impl SummaryType {
    /// All of its fields.
    pub fn all_fields(&self) -> impl Iterator<Item = &'static Field> + use<> {
        self.fields.iter().copied().flatten()
    }

    /// The top-level keys of its entries.
    pub fn keys(&self) -> impl Iterator<Item = &'static str> + use<> {
        std::iter::once(self.key).chain(self.second_key.map(|second| second.key))
    }
}

/// A second top-level key.
#[derive(Debug, Clone, Copy)]
pub struct SecondKey {
    /// The key.
    pub key: &'static str,
    /// The boolean column that says whether an entry came under it.
    pub column: &'static str,
    /// What that means, for researchers.
    pub meaning: &'static str,
}

/// A field of the identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdentityField {
    /// Garmin's name.
    pub name: &'static str,
    /// What counts where it is missing or does not fit.
    pub missing: Missing,
}

/// What counts where a field of the identity is missing (design.md section 5, *Identity*).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// Nothing can: the entry becomes a dead letter.
    Rejected,
    /// An empty text.
    Empty,
    /// `false`.
    False,
    /// `activityId`, as text.
    ActivityId,
    /// The `id` in `callbackURL`.
    CallbackId,
}

/// A field without which it cannot be told which summary an entry is.
pub(super) const fn required(name: &'static str) -> IdentityField {
    IdentityField { name, missing: Missing::Rejected }
}

/// A field of which something else counts where it is missing.
pub(super) const fn or(name: &'static str, missing: Missing) -> IdentityField {
    IdentityField { name, missing }
}
