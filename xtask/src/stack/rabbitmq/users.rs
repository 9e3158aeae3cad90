//! The users of Apollo's programs, with the rights that operators give them too: `ops/rabbitmq/permissions.json`.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{RabbitMqAddress, encoded, expect_success};
use crate::http;

/// The receiver's user.
pub const RECEIVER: &str = "apollo_receiver";
/// The worker's user.
pub const WORKER: &str = "apollo_worker";

const PERMISSIONS: &str = include_str!("../../../../ops/rabbitmq/permissions.json");

impl RabbitMqAddress {
    /// The URL of a virtual host for a user of the stack, whose password is its name.
    #[must_use]
    pub fn url_of(&self, user: &str, vhost: &str) -> String {
        format!("amqp://{user}:{user}@127.0.0.1:{}/{}", self.amqp_port, encoded(vhost))
    }

    /// Makes the users, without any right yet.
    pub(super) fn create_users(&self) -> Result<()> {
        for user in [RECEIVER, WORKER] {
            self.send("PUT", &format!("api/users/{user}"), &json!({"password": user, "tags": ""}))?;
        }
        Ok(())
    }

    /// Gives the users their rights in a virtual host.
    pub(super) fn permit(&self, vhost: &str) -> Result<()> {
        let mut permissions: Value = serde_json::from_str(PERMISSIONS)?;
        let lists =
            permissions.as_object_mut().into_iter().flatten().filter_map(|(_, list)| list.as_array_mut());
        for permission in lists.flatten() {
            permission["vhost"] = vhost.into();
        }
        self.send("POST", "api/definitions", &permissions)
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> Result<()> {
        let url = self.management_url(path);
        let request = match method {
            "PUT" => http::agent().put(&url),
            _ => http::agent().post(&url),
        };
        let response = request.header("authorization", http::GUEST).send_json(body);
        let response = response.with_context(|| format!("{method} {url}"))?;
        expect_success(method, &url, response.status().as_u16())
    }
}
