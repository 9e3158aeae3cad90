//! What this Garmin knows: its users, and the tokens it has given out. All of it is behind one lock, so that a request
//! sees one moment.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::{SystemTime, UNIX_EPOCH};

use fastrand::Rng;

use super::activity_file::Files;
use super::call::{Failures, Request};
use super::notification::{
    AccountNotification, Deregistration, PERMISSIONS, PermissionChange, PermissionsShape, deregistrations,
    permission_changes,
};
use super::uploads::Uploads;
use super::{Oauth1Token, PermissionsAnswer};
use crate::user::dashed;

/// A request token or an authorization code is good for so long. Garmin's own times are not known.
const GRANT_SECONDS: i64 = 600;

/// Garmin's own: 24 hours, and 90 days less a little.
pub(super) const ACCESS_TOKEN_SECONDS: i64 = 86_400;
pub(super) const REFRESH_TOKEN_SECONDS: i64 = 7_775_998;

/// About as long as Garmin's, which are JSON web tokens: nothing that stores them may assume a short text.
const ACCESS_TOKEN_LENGTH: usize = 900;
const REFRESH_TOKEN_LENGTH: usize = 300;

const DOWNLOAD_TOKEN_LENGTH: usize = 40;

/// All of it.
#[derive(Debug)]
pub(super) struct State {
    pub(super) consumer_key: String,
    pub(super) consumer_secret: String,
    rng: Rng,
    pub(super) accounts: BTreeMap<String, Account>,
    pub(super) request_tokens: BTreeMap<String, RequestToken>,
    pub(super) codes: BTreeMap<String, Code>,
    pub(super) oauth1_tokens: BTreeMap<String, AccessToken>,
    pub(super) access_tokens: BTreeMap<String, Bearer>,
    pub(super) refresh_tokens: BTreeMap<String, Bearer>,
    /// Time stamps and nonces of signatures that were accepted.
    pub(super) used_nonces: HashSet<(i64, String)>,
    pub(super) failures: Failures,
    pub(super) requests: Vec<Request>,
    pub(super) deleted_registrations: Vec<String>,
    pub(super) notifications: Vec<AccountNotification>,
    pub(super) permissions_answer: PermissionsAnswer,
    /// What callback URLs begin with: scheme, host and port.
    pub(super) callback_origin: String,
    /// What the developer portal gives out to try pull endpoints with.
    pub(super) pull_token: String,
    pub(super) uploads: Uploads,
    pub(super) files: Files,
}

/// A user, as far as this app is concerned.
#[derive(Debug, Clone)]
pub(super) struct Account {
    pub(super) permissions: Vec<String>,
    /// Unix seconds.
    pub(super) changed_at: i64,
}

/// OAuth 1.0a: a consent under way.
#[derive(Debug, Clone)]
pub(super) struct RequestToken {
    pub(super) secret: String,
    pub(super) callback: Option<String>,
    pub(super) expires_at: i64,
    /// Set once the user has agreed.
    pub(super) agreement: Option<Agreement>,
}

#[derive(Debug, Clone)]
pub(super) struct Agreement {
    pub(super) user_id: String,
    pub(super) verifier: String,
}

/// OAuth 2.0: a consent that the app has yet to make use of.
#[derive(Debug, Clone)]
pub(super) struct Code {
    pub(super) user_id: String,
    pub(super) redirect_uri: String,
    pub(super) code_challenge: String,
    pub(super) expires_at: i64,
}

/// OAuth 1.0a: does not expire.
#[derive(Debug, Clone)]
pub(super) struct AccessToken {
    pub(super) secret: String,
    pub(super) user_id: String,
}

/// OAuth 2.0: whose token, and until when.
#[derive(Debug, Clone)]
pub(super) struct Bearer {
    pub(super) user_id: String,
    pub(super) expires_at: i64,
}

/// A pair of OAuth 2.0 tokens that was just given out.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) access_token: String,
    pub(super) refresh_token: String,
    pub(super) id: String,
}

pub(super) fn unix_now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs().cast_signed())
}

impl State {
    pub(super) fn new(
        consumer_key: String,
        consumer_secret: String,
        seed: u64,
        callback_origin: String,
    ) -> Self {
        let mut rng = Rng::with_seed(seed);
        Self {
            consumer_key,
            consumer_secret,
            callback_origin,
            pull_token: random_text(&mut rng, DOWNLOAD_TOKEN_LENGTH),
            uploads: Uploads::new(),
            files: Files::default(),
            rng,
            accounts: BTreeMap::new(),
            request_tokens: BTreeMap::new(),
            codes: BTreeMap::new(),
            oauth1_tokens: BTreeMap::new(),
            access_tokens: BTreeMap::new(),
            refresh_tokens: BTreeMap::new(),
            used_nonces: HashSet::new(),
            failures: Failures::default(),
            requests: Vec::new(),
            deleted_registrations: Vec::new(),
            notifications: Vec::new(),
            permissions_answer: PermissionsAnswer::default(),
        }
    }

    /// A user who has yet to agree to anything.
    pub(super) fn add_user(&mut self, user_id: String) {
        let account =
            Account { permissions: PERMISSIONS.map(str::to_owned).to_vec(), changed_at: unix_now() };
        self.accounts.entry(user_id).or_insert(account);
    }

    pub(super) fn issue_request_token(&mut self, callback: Option<String>) -> (String, String) {
        let (token, secret) = (self.uuid(), self.random_text(35));
        let expires_at = unix_now() + GRANT_SECONDS;
        let request_token = RequestToken { secret: secret.clone(), callback, expires_at, agreement: None };
        self.request_tokens.insert(token.clone(), request_token);
        (token, secret)
    }

    pub(super) fn issue_verifier(&mut self) -> String {
        self.random_text(10)
    }

    pub(super) fn issue_code(
        &mut self,
        user_id: String,
        redirect_uri: String,
        code_challenge: String,
    ) -> String {
        let code = self.uuid();
        let expires_at = unix_now() + GRANT_SECONDS;
        self.codes.insert(code.clone(), Code { user_id, redirect_uri, code_challenge, expires_at });
        code
    }

    pub(super) fn issue_oauth1_token(&mut self, user_id: String) -> Oauth1Token {
        let issued = Oauth1Token { token: self.uuid(), secret: self.random_text(35) };
        self.oauth1_tokens
            .insert(issued.token.clone(), AccessToken { secret: issued.secret.clone(), user_id });
        issued
    }

    pub(super) fn issue_oauth2_pair(&mut self, user_id: &str) -> Pair {
        let access_token = self.random_text(ACCESS_TOKEN_LENGTH);
        let refresh_token = self.random_text(REFRESH_TOKEN_LENGTH);
        let until = |seconds| Bearer { user_id: user_id.to_owned(), expires_at: unix_now() + seconds };
        self.access_tokens.insert(access_token.clone(), until(ACCESS_TOKEN_SECONDS));
        self.refresh_tokens.insert(refresh_token.clone(), until(REFRESH_TOKEN_SECONDS));
        Pair { access_token, refresh_token, id: self.uuid() }
    }

    /// The user's connection is over: every token ends, and the app is told.
    pub(super) fn disconnect(&mut self, user_id: &str) {
        let ended: Vec<Deregistration> = self
            .names_in_notifications(user_id)
            .into_iter()
            .map(|user_access_token| Deregistration { user_id: user_id.to_owned(), user_access_token })
            .collect();
        self.oauth1_tokens.retain(|_, token| token.user_id != user_id);
        self.access_tokens.retain(|_, token| token.user_id != user_id);
        self.refresh_tokens.retain(|_, token| token.user_id != user_id);
        self.codes.retain(|_, code| code.user_id != user_id);
        self.request_tokens
            .retain(|_, token| token.agreement.as_ref().is_none_or(|agreement| agreement.user_id != user_id));
        if !ended.is_empty() {
            self.notifications.push(AccountNotification::Deregistrations(deregistrations(&ended)));
        }
    }

    /// The user allows this from now on, and the app is told if it is connected.
    pub(super) fn change_permissions(&mut self, user_id: &str, permissions: Vec<String>) {
        self.allow(user_id, permissions.clone());
        let changes: Vec<PermissionChange> = self
            .names_in_notifications(user_id)
            .into_iter()
            .map(|user_access_token| PermissionChange {
                user_id: user_id.to_owned(),
                user_access_token,
                summary_id: self.notice_id(),
                permissions: permissions.clone(),
                changed_at: unix_now(),
            })
            .collect();
        if !changes.is_empty() {
            let body = permission_changes(&changes, PermissionsShape::Array);
            self.notifications.push(AccountNotification::PermissionChanges(body));
        }
    }

    pub(super) fn allow(&mut self, user_id: &str, permissions: Vec<String>) {
        self.accounts.insert(user_id.to_owned(), Account { permissions, changed_at: unix_now() });
    }

    pub(super) fn allows(&self, user_id: &str, permission: &str) -> bool {
        let account = self.accounts.get(user_id);
        account.is_some_and(|account| account.permissions.iter().any(|name| name == permission))
    }

    /// Under which names the app knows the user: once for each OAuth 1.0a token, and once without for OAuth 2.0.
    fn names_in_notifications(&self, user_id: &str) -> Vec<Option<String>> {
        let by_token = self.oauth1_tokens.iter().filter(|(_, token)| token.user_id == user_id);
        let mut names: Vec<_> = by_token.map(|(token, _)| Some(token.clone())).collect();
        if self.refresh_tokens.values().any(|token| token.user_id == user_id) {
            names.push(None);
        }
        names
    }

    pub(super) fn connected_users(&self) -> BTreeSet<String> {
        let oauth1 = self.oauth1_tokens.values().map(|token| &token.user_id);
        oauth1.chain(self.refresh_tokens.values().map(|token| &token.user_id)).cloned().collect()
    }

    pub(super) fn notice_id(&mut self) -> String {
        format!("x{:07x}-{:08x}", self.rng.u32(..0x1000_0000), self.rng.u32(..))
    }

    fn uuid(&mut self) -> String {
        dashed(&format!("{:032x}", self.rng.u128(..)))
    }

    /// For a callback URL.
    pub(super) fn download_token(&mut self) -> String {
        self.random_text(DOWNLOAD_TOKEN_LENGTH)
    }

    fn random_text(&mut self, length: usize) -> String {
        random_text(&mut self.rng, length)
    }
}

fn random_text(rng: &mut Rng, length: usize) -> String {
    std::iter::repeat_with(|| rng.alphanumeric()).take(length).collect()
}
