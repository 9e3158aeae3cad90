-- What pings announce: each callback URL is fetched once, however often its ping comes.

CREATE SCHEMA garmin_pull;

CREATE TABLE garmin_pull.callback (
    digest       bytea PRIMARY KEY,
    user_id      text COLLATE "C" NOT NULL,
    summary_type text NOT NULL,
    message_id   uuid NOT NULL,
    entry_index  integer NOT NULL,
    announced_at timestamptz NOT NULL,
    repeats      integer NOT NULL DEFAULT 0,
    state        text NOT NULL DEFAULT 'waiting',
    status       smallint,
    entries      integer,
    settled_at   timestamptz
);
COMMENT ON TABLE garmin_pull.callback IS
    'What became of the callback URLs in Garmin''s pings; a row is deleted 30 days after its ping came.';
COMMENT ON COLUMN garmin_pull.callback.digest IS 'SHA-256 of user and URL: the URL itself is a secret, and stored nowhere.';
COMMENT ON COLUMN garmin_pull.callback.user_id IS 'Garmin''s id of the user.';
COMMENT ON COLUMN garmin_pull.callback.summary_type IS 'The key of the ping: what is to be fetched.';
COMMENT ON COLUMN garmin_pull.callback.message_id IS
    'The notification whose ping is followed; others with the same URL are repeats of it.';
COMMENT ON COLUMN garmin_pull.callback.entry_index IS 'The ping''s place in that notification.';
COMMENT ON COLUMN garmin_pull.callback.announced_at IS 'When that notification was received.';
COMMENT ON COLUMN garmin_pull.callback.repeats IS 'How often the same URL came again.';
COMMENT ON COLUMN garmin_pull.callback.state IS
    'waiting, fetched, gone (used before, or too old), not_permitted (by the user), withdrawn, or failed (its message is a dead letter; the next ping with this URL is followed).';
COMMENT ON COLUMN garmin_pull.callback.status IS 'Garmin''s last answer, an HTTP status; null if there was none.';
COMMENT ON COLUMN garmin_pull.callback.entries IS 'How many summaries came, or 1 for a file.';
COMMENT ON COLUMN garmin_pull.callback.settled_at IS 'When the state became what it is; null while it waits.';
CREATE INDEX callback_announced ON garmin_pull.callback (announced_at);
CREATE INDEX callback_user ON garmin_pull.callback (user_id);
