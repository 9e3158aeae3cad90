//! What a user lets Garmin send: the names of `ACTIVITY_EXPORT`, `HEALTH_EXPORT` and their like.
//!
//! Sources do not agree on the shape (garmin-health-api.md 5, 6 and 10), so each that has been drawn is read.

use serde_json::Value;

/// Reads the names out of an array, an object with such an array under `permissions`, an object of booleans, or one
/// text `[A, B]`; nothing if it is none of these.
#[must_use]
pub fn read(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Array(names) => names.iter().map(|name| name.as_str().map(str::to_owned)).collect(),
        Value::Object(fields) => match fields.get("permissions") {
            Some(permissions) => read(permissions),
            None => granted(fields.iter()),
        },
        Value::String(text) => Some(listed(text)),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

fn granted<'a>(fields: impl Iterator<Item = (&'a String, &'a Value)>) -> Option<Vec<String>> {
    let flags: Vec<(&String, bool)> =
        fields.map(|(name, value)| Some((name, value.as_bool()?))).collect::<Option<_>>()?;
    Some(flags.into_iter().filter(|(_, granted)| *granted).map(|(name, _)| name.clone()).collect())
}

fn listed(text: &str) -> Vec<String> {
    let names = text.trim().trim_start_matches('[').trim_end_matches(']').split(',').map(str::trim);
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_shape_that_has_been_drawn_is_read() {
        let both = Some(vec!["ACTIVITY_EXPORT".to_owned(), "HEALTH_EXPORT".to_owned()]);
        assert_eq!(read(&json!(["ACTIVITY_EXPORT", "HEALTH_EXPORT"])), both);
        assert_eq!(
            read(&json!({
                "userId": "u", "summaryId": "s", "changeTimeInSeconds": 1_794_314_467,
                "permissions": ["ACTIVITY_EXPORT", "HEALTH_EXPORT"],
            })),
            both
        );
        assert_eq!(read(&json!({"ACTIVITY_EXPORT": true, "HEALTH_EXPORT": true, "MCT_EXPORT": false})), both);
        assert_eq!(read(&json!("[ACTIVITY_EXPORT, HEALTH_EXPORT]")), both);
        for none in [json!([]), json!({}), json!("[]"), json!({"permissions": []})] {
            assert_eq!(read(&none), Some(vec![]), "{none}");
        }
    }

    #[test]
    fn anything_else_is_nothing() {
        for other in [json!(null), json!(3), json!(true), json!([1]), json!({"userId": "u"})] {
            assert_eq!(read(&other), None, "{other}");
        }
    }
}
