//! Whether a manifest has only fields that its kind has, of the right types, and all that are required.
//!
//! `tests/kubernetes/types.json` lists the fields of the kinds that the manifests use, as Kubernetes 1.30 publishes them in
//! its OpenAPI document (what 1.30 takes, later versions take as well), and those of the resources of KEDA 2 and of the
//! Prometheus Operator that are used. It is a list of our own, because tests must not need the network and Kubernetes'
//! own documents have megabytes: a field that is not in it is refused, and added there by whoever needs it. `!` behind a
//! name marks what is required, `[T]` is a list of T, `{T}` an object with any keys. What values a text may have, such
//! as `RollingUpdate`, is not checked here.

use apollo_tests::Result;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// See the [module](self).
#[derive(Deserialize)]
pub(super) struct Types {
    /// By `apiVersion kind`.
    kinds: BTreeMap<String, String>,
    types: BTreeMap<String, BTreeMap<String, String>>,
}

impl Types {
    pub(super) fn read() -> Result<Self> {
        Ok(serde_json::from_str(include_str!("../../../kubernetes/types.json"))?)
    }

    /// What is wrong with a document, a line each.
    pub(super) fn problems(&self, document: &Value) -> Vec<String> {
        let word = |name: &str| document[name].as_str().unwrap_or("-").to_owned();
        let kind = format!("{} {}", word("apiVersion"), word("kind"));
        let mut problems = Vec::new();
        match self.kinds.get(&kind) {
            Some(root) => self.check(root, document, &word("kind"), &mut problems),
            None => problems.push(format!("{kind}: no such kind")),
        }
        problems
    }

    fn check(&self, wanted: &str, value: &Value, path: &str, problems: &mut Vec<String>) {
        let inner = |open, close| wanted.strip_prefix(open).and_then(|it: &str| it.strip_suffix(close));
        match (value, inner('[', ']'), inner('{', '}')) {
            (Value::Array(items), Some(item), _) => {
                for (place, value) in items.iter().enumerate() {
                    self.check(item, value, &format!("{path}[{place}]"), problems);
                }
            }
            (Value::Object(members), _, Some(member)) => {
                for (name, value) in members {
                    self.check(member, value, &format!("{path}.{name}"), problems);
                }
            }
            _ => match self.types.get(wanted) {
                Some(fields) => self.check_fields(fields, value, path, problems),
                None if is_a(wanted, value) => {}
                None => problems.push(format!("{path}: {value} is not of the type {wanted}")),
            },
        }
    }

    fn check_fields(
        &self,
        fields: &BTreeMap<String, String>,
        value: &Value,
        path: &str,
        problems: &mut Vec<String>,
    ) {
        let Some(members) = value.as_object() else {
            return problems.push(format!("{path}: {value} is no object"));
        };
        for (name, value) in members {
            match fields.get(name).or_else(|| fields.get(&format!("{name}!"))) {
                Some(wanted) => self.check(wanted, value, &format!("{path}.{name}"), problems),
                None => problems.push(format!("{path}.{name}: no such field")),
            }
        }
        let required = fields.keys().filter_map(|name| name.strip_suffix('!'));
        let missing = required.filter(|name| !members.contains_key(*name));
        problems.extend(missing.map(|name| format!("{path}.{name} is missing")));
    }
}

fn is_a(wanted: &str, value: &Value) -> bool {
    match wanted {
        "any" => true,
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64(),
        "integer or string" => value.is_i64() || value.is_string(),
        "quantity" => value.is_number() || value.is_string(),
        _ => false,
    }
}
