//! Why something became a dead letter, what that means, and what an operator does about it: told here once, for
//! headers, metrics and `apollo-worker dead-letters --help`.

use std::fmt::Write as _;

/// The kind of defect that made a dead letter; a label of metrics and the header `reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The message was not published by Apollo.
    Envelope,
    /// The body is no notification.
    NotANotification,
    /// A known key whose value is no list.
    NotAList,
    /// An entry that is malformed or cannot be stored.
    MalformedEntry,
    /// A key that no table takes, while raw notifications are not kept.
    UnknownKey,
    /// An entry that PostgreSQL refused.
    RefusedByDatabase,
    /// An entry that PostgreSQL did not get done with, while it did with others.
    TimedOut,
    /// Reading the message failed by a defect of Apollo's.
    Panic,
    /// A message of a consent that cannot be read, or whose beginning never came.
    Consent,
    /// Garmin could not be asked for a day.
    GarminUnavailable,
    /// A ping whose callback URL is none of Garmin's, or leads elsewhere.
    CallbackRefused,
    /// Garmin does not give what a ping announced, and will not.
    GarminRefused,
    /// Garmin's answer is larger than any that is taken.
    AnswerTooLarge,
    /// Garmin takes no token of the user.
    NeedsConsent,
    /// The broker's own: its worker ended without acknowledging it, over and over.
    DeliveryLimit,
}

impl Reason {
    /// All of them, those of a message's content first.
    pub const ALL: [Self; 15] = [
        Self::MalformedEntry,
        Self::NotAList,
        Self::NotANotification,
        Self::UnknownKey,
        Self::RefusedByDatabase,
        Self::TimedOut,
        Self::Panic,
        Self::DeliveryLimit,
        Self::Consent,
        Self::GarminUnavailable,
        Self::NeedsConsent,
        Self::GarminRefused,
        Self::AnswerTooLarge,
        Self::CallbackRefused,
        Self::Envelope,
    ];

    /// The name in headers and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Envelope => "envelope",
            Self::NotANotification => "not_a_notification",
            Self::NotAList => "not_a_list",
            Self::MalformedEntry => "malformed_entry",
            Self::UnknownKey => "unknown_key",
            Self::RefusedByDatabase => "refused_by_database",
            Self::TimedOut => "timed_out",
            Self::Panic => "panic",
            Self::Consent => "consent",
            Self::GarminUnavailable => "garmin_unavailable",
            Self::CallbackRefused => "callback_refused",
            Self::GarminRefused => "garmin_refused",
            Self::AnswerTooLarge => "answer_too_large",
            Self::NeedsConsent => "needs_consent",
            Self::DeliveryLimit => "delivery_limit",
        }
    }

    /// What has happened.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Envelope => "Apollo did not publish it: it has no id or no time of arrival",
            Self::NotANotification => "its body is not what Garmin sends",
            Self::NotAList => "a known key of a notification holds no list",
            Self::MalformedEntry => "an entry without a usable user, time or id, or not storable",
            Self::UnknownKey => "no table takes it, and raw notifications are not kept",
            Self::RefusedByDatabase => "PostgreSQL refused the data of this entry",
            Self::TimedOut => "PostgreSQL did not get done with this entry in time, but with others",
            Self::Panic => "reading it failed by a defect of Apollo's",
            Self::Consent => "a consent that cannot be read or completed",
            Self::GarminUnavailable => "Garmin could not be asked about it for a day",
            Self::CallbackRefused => "a ping that leads elsewhere than to GARMIN__CALLBACK_HOSTS: forged?",
            Self::GarminRefused => "Garmin does not give what a ping announced, and will not",
            Self::AnswerTooLarge => "what a ping announced has more than 100 MiB",
            Self::NeedsConsent => "for a day no token of the user worked, so a ping was not followed",
            Self::DeliveryLimit => "workers died or hung over it, 21 times (RabbitMQ's own verdict)",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Envelope => "find out who publishes to the exchange apollo; drop",
            Self::NotANotification | Self::NotAList | Self::MalformedEntry => {
                "report it; drop --save, and perhaps mend it in the file and replay --from"
            }
            Self::UnknownKey => "replay when a version of Apollo has a table for it",
            Self::RefusedByDatabase => "read the error; replay when its cause is gone",
            Self::TimedOut => "look for what is slow about it (a trigger, a lock); replay",
            Self::Panic | Self::DeliveryLimit => {
                "report it; replay after an upgrade that mends it, not before"
            }
            Self::Consent => "ask the participant to consent again; drop",
            Self::GarminUnavailable => "replay when Garmin answers again",
            Self::CallbackRefused => "drop; if Garmin has a new host, add it to the variable and replay",
            Self::GarminRefused | Self::AnswerTooLarge => {
                "read the error; fetch the time in question with apollo-worker pull or backfill; drop"
            }
            Self::NeedsConsent => "ask the participant to consent again; backfill the gap; drop",
        }
    }

    /// All of them with what they mean and what to do, for people.
    #[must_use]
    pub fn table() -> String {
        Self::ALL.iter().fold(String::new(), |mut text, reason| {
            let (name, meaning, remedy) = (reason.name(), reason.meaning(), reason.remedy());
            let _ = writeln!(text, "  {name:20} {meaning}\n  {:20} → {remedy}", "");
            text
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_reason_is_told_once() {
        let names: BTreeSet<&str> = Reason::ALL.iter().map(|reason| reason.name()).collect();
        assert_eq!(names.len(), Reason::ALL.len());
        assert!(Reason::ALL.iter().all(|reason| Reason::table().contains(reason.meaning())));
    }
}
