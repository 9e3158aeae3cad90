//! What a participant, or a link, fills the form in with.

use serde::Deserialize;
use url::form_urlencoded::Serializer;

/// The path of the form.
pub(super) const CONSENT_PATH: &str = "/oauth/garmin/consent";

/// The fields of the form, and the query of a link to it. They are as they came, and to be checked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Entry {
    /// The subject id.
    pub(super) sid: String,
    /// The text of an invitation.
    pub(super) invitation: String,
}

impl Entry {
    /// The path of the form that is filled in like this. An invitation says the subject id too.
    pub(super) fn path(&self) -> String {
        let mut query = Serializer::new(String::new());
        if !self.invitation.is_empty() {
            query.append_pair("invitation", &self.invitation);
        } else if !self.sid.is_empty() {
            query.append_pair("sid", &self.sid);
        }
        match query.finish() {
            query if query.is_empty() => CONSENT_PATH.to_owned(),
            query => format!("{CONSENT_PATH}?{query}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_back_to_the_same_form() {
        let entry = |sid: &str, invitation: &str| Entry { sid: sid.into(), invitation: invitation.into() };
        assert_eq!(entry("", "").path(), "/oauth/garmin/consent");
        assert_eq!(entry("P 7&8", "").path(), "/oauth/garmin/consent?sid=P+7%268");
        assert_eq!(entry("P 7", "abc").path(), "/oauth/garmin/consent?invitation=abc");
    }
}
