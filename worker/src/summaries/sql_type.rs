//! PostgreSQL's types, as far as summaries need them.

/// A column's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SqlType {
    /// `text`.
    Text,
    /// `integer`.
    Integer,
    /// `bigint`.
    BigInteger,
    /// `double precision`.
    Float,
    /// `boolean`.
    Boolean,
    /// `date`.
    Date,
    /// `timestamp with time zone`.
    Instant,
    /// `jsonb`.
    Jsonb,
    /// `integer[]`.
    Integers,
    /// `double precision[]`.
    Floats,
    /// `uuid`.
    Uuid,
    /// `bytea`.
    Bytes,
}

impl SqlType {
    /// The name, as `format_type` writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.name_and_oid().0
    }

    /// The object identifier, which binary forms name.
    #[must_use]
    pub const fn oid(self) -> u32 {
        self.name_and_oid().1
    }

    /// Identifiers of built-in types never change (PostgreSQL's `pg_type.dat`).
    const fn name_and_oid(self) -> (&'static str, u32) {
        match self {
            Self::Text => ("text", 25),
            Self::Integer => ("integer", 23),
            Self::BigInteger => ("bigint", 20),
            Self::Float => ("double precision", 701),
            Self::Boolean => ("boolean", 16),
            Self::Date => ("date", 1082),
            Self::Instant => ("timestamp with time zone", 1184),
            Self::Jsonb => ("jsonb", 3802),
            Self::Integers => ("integer[]", 1007),
            Self::Floats => ("double precision[]", 1022),
            Self::Uuid => ("uuid", 2950),
            Self::Bytes => ("bytea", 17),
        }
    }

    /// Whether its values are large, and so kept outside of their row.
    #[must_use]
    pub const fn is_large(self) -> bool {
        matches!(self, Self::Jsonb | Self::Integers | Self::Floats)
    }
}
