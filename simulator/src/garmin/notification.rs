//! What Garmin tells an app about its users: that one is gone, or lets it have something else than before
//! (garmin-health-api.md 6).

use serde_json::{Map, Value, json};

/// What a user can allow an app, in Garmin's words.
pub const PERMISSIONS: [&str; 6] = [
    "ACTIVITY_EXPORT",
    "HEALTH_EXPORT",
    "MCT_EXPORT",
    "HISTORICAL_DATA_EXPORT",
    "WORKOUT_IMPORT",
    "COURSE_IMPORT",
];

/// A notification that waits to be delivered.
#[derive(Debug, Clone, PartialEq)]
pub enum AccountNotification {
    /// The body for the address of deregistrations.
    Deregistrations(Value),
    /// The body for the address of permission changes.
    PermissionChanges(Value),
}

/// A user who has disconnected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deregistration {
    /// Garmin's id.
    pub user_id: String,
    /// Under OAuth 1.0a, the token that has ended.
    pub user_access_token: Option<String>,
}

/// A user who has changed what an app may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PermissionChange {
    /// Garmin's id.
    pub user_id: String,
    /// Under OAuth 1.0a, the user's token.
    pub user_access_token: Option<String>,
    /// The id of this notice.
    pub summary_id: String,
    /// All that is allowed from now on.
    pub permissions: Vec<String>,
    /// When, in Unix seconds.
    pub changed_at: i64,
}

/// How a set of permissions is written. Only the array is confirmed; the others stand in documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PermissionsShape {
    /// `["A", "B"]`
    Array,
    /// `{"A": true, "B": true, "C": false}`
    Object,
    /// `"[A, B]"`
    Text,
}

/// `{"deregistrations": […]}`
pub fn deregistrations(of: &[Deregistration]) -> Value {
    let entries = of.iter().map(|deregistration| {
        entry(&deregistration.user_id, deregistration.user_access_token.as_deref(), Map::new())
    });
    json!({ "deregistrations": entries.collect::<Vec<_>>() })
}

/// `{"userPermissionsChange": […]}`
pub fn permission_changes(of: &[PermissionChange], shape: PermissionsShape) -> Value {
    let entries = of.iter().map(|change| {
        let mut fields = Map::new();
        fields.insert("summaryId".into(), change.summary_id.as_str().into());
        fields.insert("permissions".into(), shape.write(&change.permissions));
        fields.insert("changeTimeInSeconds".into(), change.changed_at.into());
        entry(&change.user_id, change.user_access_token.as_deref(), fields)
    });
    json!({ "userPermissionsChange": entries.collect::<Vec<_>>() })
}

fn entry(user_id: &str, user_access_token: Option<&str>, mut fields: Map<String, Value>) -> Value {
    fields.insert("userId".into(), user_id.into());
    if let Some(token) = user_access_token {
        fields.insert("userAccessToken".into(), token.into());
    }
    fields.into()
}

impl PermissionsShape {
    fn write(self, permissions: &[String]) -> Value {
        match self {
            Self::Array => permissions.into(),
            Self::Object => {
                let allowed = |name: &str| permissions.iter().any(|permission| permission == name);
                PERMISSIONS
                    .iter()
                    .map(|name| ((*name).to_owned(), allowed(name).into()))
                    .collect::<Map<_, _>>()
                    .into()
            }
            Self::Text => format!("[{}]", permissions.join(", ")).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deregistration_names_a_token_only_under_oauth_1() {
        let of = |token: Option<&str>| Deregistration {
            user_id: "u".to_owned(),
            user_access_token: token.map(str::to_owned),
        };
        assert_eq!(
            deregistrations(&[of(None), of(Some("t"))]),
            json!({"deregistrations": [{"userId": "u"}, {"userId": "u", "userAccessToken": "t"}]})
        );
    }

    #[test]
    fn permissions_come_in_every_shape() {
        let change = PermissionChange {
            user_id: "u".to_owned(),
            user_access_token: None,
            summary_id: "x1".to_owned(),
            permissions: vec!["HEALTH_EXPORT".to_owned(), "MCT_EXPORT".to_owned()],
            changed_at: 5,
        };
        let written = |shape| {
            let body = permission_changes(std::slice::from_ref(&change), shape);
            assert_eq!(body["userPermissionsChange"][0]["changeTimeInSeconds"], 5);
            body["userPermissionsChange"][0]["permissions"].clone()
        };
        assert_eq!(written(PermissionsShape::Array), json!(["HEALTH_EXPORT", "MCT_EXPORT"]));
        assert_eq!(written(PermissionsShape::Text), "[HEALTH_EXPORT, MCT_EXPORT]");
        let object = written(PermissionsShape::Object);
        assert_eq!((&object["MCT_EXPORT"], &object["COURSE_IMPORT"]), (&json!(true), &json!(false)));
    }
}
