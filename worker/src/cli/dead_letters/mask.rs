//! What a person who looks at a body must not see: what opens an account at Garmin.

use serde_json::Value;

/// Stands for what is masked.
const MASKED: &str = "(masked; --raw shows it)";

/// Parts of the names of fields whose values are secret.
const SECRETS: [&str; 3] = ["token", "secret", "verifier"];

/// Masks secrets by the names of their fields, and the queries of URLs, which hold tokens too.
pub(super) fn mask(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let name = name.to_ascii_lowercase();
                match value {
                    Value::String(_) if SECRETS.iter().any(|secret| name.contains(secret)) => {
                        *value = MASKED.into();
                    }
                    value => mask(value),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(mask),
        Value::String(text) if text.starts_with("http") => {
            if let Some((address, _)) = text.split_once('?') {
                *text = format!("{address}?{MASKED}");
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tokens_are_masked_wherever_they_are_and_nothing_else() {
        let mut body = json!({"dailies": [{
            "userId": "u", "userAccessToken": "hidden", "steps": 7,
            "callbackURL": "https://apis.garmin.com/x?id=1&token=hidden"
        }]});
        mask(&mut body);
        assert!(!body.to_string().contains("hidden"), "{body}");
        let entry = &body["dailies"][0];
        assert_eq!((&entry["userId"], &entry["steps"]), (&json!("u"), &json!(7)));
        assert!(entry["callbackURL"].as_str().unwrap().starts_with("https://apis.garmin.com/x?"));
    }
}
