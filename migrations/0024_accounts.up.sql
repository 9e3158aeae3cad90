-- The life of a participant's authorisation: consents under way, tokens, withdrawals, and the keys that seal secrets.

ALTER TABLE garmin_oauth.user_id ADD COLUMN permissions_changed_at timestamptz;
COMMENT ON COLUMN garmin_oauth.user_id.active IS
    'Whether the user''s data may be stored: false from a deregistration or withdrawal on, until the next completed consent.';
COMMENT ON COLUMN garmin_oauth.user_id.registered_at IS
    'When the participant came back from the last completed consent; null while only data has come.';
COMMENT ON COLUMN garmin_oauth.user_id.deregistered_at IS
    'When the last deregistration arrived, or the withdrawal was asked for; stays when the user consents again.';
COMMENT ON COLUMN garmin_oauth.user_id.permissions IS 'What the user lets Garmin send, in Garmin''s names; null if not known.';
COMMENT ON COLUMN garmin_oauth.user_id.permissions_changed_at IS 'When Garmin says they were last changed.';
-- A batch asks which of its users have withdrawn.
CREATE INDEX user_id_deregistered ON garmin_oauth.user_id (user_id) WHERE deregistered_at IS NOT NULL;

ALTER TABLE garmin_oauth.subject ADD COLUMN linked_at timestamptz;
COMMENT ON COLUMN garmin_oauth.subject.linked_at IS 'When the account was first linked with the subject.';

CREATE TABLE garmin_oauth.request_token (
    consent_id    uuid PRIMARY KEY,
    subject_id    text NOT NULL,
    oauth_version smallint NOT NULL,
    redirect_uri  text NOT NULL,
    started_at    timestamptz NOT NULL,
    status        text NOT NULL DEFAULT 'pending',
    attempts      integer NOT NULL DEFAULT 0,
    claimed_until timestamptz,
    key_id        text,
    sealed        bytea
);
COMMENT ON TABLE garmin_oauth.request_token IS
    'Consents that have begun: OAuth 1.0a request tokens, OAuth 2.0 code verifiers. Deleted a day later.';
COMMENT ON COLUMN garmin_oauth.request_token.consent_id IS 'Made at random when the consent began.';
COMMENT ON COLUMN garmin_oauth.request_token.subject_id IS 'Whom the account is to be linked with.';
COMMENT ON COLUMN garmin_oauth.request_token.oauth_version IS '1 for OAuth 1.0a, 2 for OAuth 2.0.';
COMMENT ON COLUMN garmin_oauth.request_token.redirect_uri IS 'Where Garmin was told to send the participant back to.';
COMMENT ON COLUMN garmin_oauth.request_token.started_at IS 'When the consent began.';
COMMENT ON COLUMN garmin_oauth.request_token.key_id IS 'The key that sealed is sealed with.';
COMMENT ON COLUMN garmin_oauth.request_token.status IS
    'pending, exchanged (tokens are here, their user is not known yet), linked, subject_taken, account_taken, declined, failed';
COMMENT ON COLUMN garmin_oauth.request_token.attempts IS 'How often Garmin has been asked in vain.';
COMMENT ON COLUMN garmin_oauth.request_token.claimed_until IS
    'Until then a worker is busy with the exchange, which must not be tried twice.';
COMMENT ON COLUMN garmin_oauth.request_token.sealed IS
    'What the next step needs, sealed with the key key_id: first the verifier or request token, then the tokens; null at the end.';
CREATE INDEX request_token_started ON garmin_oauth.request_token (started_at);

CREATE TABLE garmin_oauth.access_token (
    id                 bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id            text COLLATE "C" NOT NULL REFERENCES garmin_oauth.user_id,
    oauth_version      smallint NOT NULL,
    token_digest       bytea NOT NULL UNIQUE,
    key_id             text NOT NULL,
    sealed             bytea NOT NULL,
    created_at         timestamptz NOT NULL DEFAULT now(),
    expires_at         timestamptz,
    refresh_expires_at timestamptz,
    scope              text,
    refresh_after      timestamptz,
    refused_at         timestamptz,
    exchanged_at       timestamptz
);
COMMENT ON TABLE garmin_oauth.access_token IS
    'Access tokens of users, several a user over time. Deleted when the user deregisters or withdraws.';
COMMENT ON COLUMN garmin_oauth.access_token.id IS 'Counted up.';
COMMENT ON COLUMN garmin_oauth.access_token.user_id IS 'Garmin''s id of the user.';
COMMENT ON COLUMN garmin_oauth.access_token.oauth_version IS '1 for OAuth 1.0a, 2 for OAuth 2.0.';
COMMENT ON COLUMN garmin_oauth.access_token.key_id IS 'The key that sealed is sealed with.';
COMMENT ON COLUMN garmin_oauth.access_token.created_at IS 'When it was stored.';
COMMENT ON COLUMN garmin_oauth.access_token.scope IS 'OAuth 2.0: what it is good for, in Garmin''s words.';
COMMENT ON COLUMN garmin_oauth.access_token.token_digest IS
    'SHA-256 of the token, by which an OAuth 1.0a notification finds the one that it names.';
COMMENT ON COLUMN garmin_oauth.access_token.sealed IS
    'The token with its secret (OAuth 1.0a) or with its refresh token (OAuth 2.0), sealed with the key key_id.';
COMMENT ON COLUMN garmin_oauth.access_token.expires_at IS 'OAuth 2.0: when the access token ends.';
COMMENT ON COLUMN garmin_oauth.access_token.refresh_expires_at IS 'OAuth 2.0: when the refresh token ends.';
COMMENT ON COLUMN garmin_oauth.access_token.refresh_after IS
    'OAuth 2.0: when a worker may refresh it; moved ahead by the one that does, so that no other does too.';
COMMENT ON COLUMN garmin_oauth.access_token.refused_at IS 'When Garmin said that it has ended; it is not used any more.';
COMMENT ON COLUMN garmin_oauth.access_token.exchanged_at IS
    'OAuth 1.0a: when it was exchanged for an OAuth 2.0 token; it works beside that until 31 December 2026.';
CREATE INDEX access_token_user ON garmin_oauth.access_token (user_id);
CREATE INDEX access_token_refresh ON garmin_oauth.access_token (refresh_after)
    WHERE oauth_version = 2 AND refused_at IS NULL;

CREATE TABLE garmin_oauth.erased (
    user_digest bytea PRIMARY KEY,
    erased_at   timestamptz NOT NULL
);
COMMENT ON TABLE garmin_oauth.erased IS
    'SHA-256 of the ids of users who were erased: what was received before a newer consent of theirs is not stored.';
COMMENT ON COLUMN garmin_oauth.erased.user_digest IS 'SHA-256 of Garmin''s id of the user.';
COMMENT ON COLUMN garmin_oauth.erased.erased_at IS 'When the user was erased.';

CREATE TABLE garmin_oauth.sealing_key (
    key_id     text PRIMARY KEY,
    first_used timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE garmin_oauth.sealing_key IS
    'The keys that something in this database may be sealed with: the worker does not start without each of them.';
COMMENT ON COLUMN garmin_oauth.sealing_key.key_id IS 'The key''s name in SECRETS__KEYS.';
COMMENT ON COLUMN garmin_oauth.sealing_key.first_used IS 'Since when.';

-- Whose entries a notification holds, so that one user's can be found; null in rows of earlier versions.
ALTER TABLE garmin_raw.notification ADD COLUMN user_ids text[];
COMMENT ON COLUMN garmin_raw.notification.user_ids IS
    'Whose entries it holds, without repetition; null in rows of versions that did not note it.';
CREATE INDEX notification_user_ids ON garmin_raw.notification USING gin (user_ids) WITH (fastupdate = on);
-- Those that are still to be noted.
CREATE INDEX notification_not_noted ON garmin_raw.notification (message_id) WHERE user_ids IS NULL;
