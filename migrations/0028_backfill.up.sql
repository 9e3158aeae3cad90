-- History that is asked for: what Garmin recorded of a participant before the link, or while Apollo did not listen.

CREATE TABLE garmin_pull.backfill (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id       text COLLATE "C" NOT NULL REFERENCES garmin_oauth.user_id,
    summary_type  text NOT NULL,
    starts_at     timestamptz NOT NULL,
    ends_at       timestamptz NOT NULL CHECK (starts_at < ends_at),
    state         text NOT NULL DEFAULT 'pending',
    attempts      integer NOT NULL DEFAULT 0,
    due_at        timestamptz NOT NULL DEFAULT now(),
    claimed_until timestamptz,
    settled_at    timestamptz,
    status        smallint,
    error         text,
    UNIQUE (user_id, summary_type, starts_at, ends_at)
);
COMMENT ON TABLE garmin_pull.backfill IS
    'Ranges of history, one request to Garmin each; those of one user and type do not overlap. Garmin answers with ordinary notifications, later.';
COMMENT ON COLUMN garmin_pull.backfill.id IS 'Counted up: of ranges that are due, the lowest is asked for first.';
COMMENT ON COLUMN garmin_pull.backfill.user_id IS 'Garmin''s id of the user.';
COMMENT ON COLUMN garmin_pull.backfill.summary_type IS 'What is asked for: the key under which it comes in notifications.';
COMMENT ON COLUMN garmin_pull.backfill.starts_at IS 'The first moment of recording that is asked for.';
COMMENT ON COLUMN garmin_pull.backfill.ends_at IS 'The first moment that is not asked for any more.';
COMMENT ON COLUMN garmin_pull.backfill.state IS
    'pending; requested (Garmin has accepted it), done_before (it had, earlier); not_permitted (by the user), not_enabled (for this app), before_minimum (earlier than Garmin reaches back), no_consent (withdrawn, or no token is left), cancelled (by an operator), failed.';
COMMENT ON COLUMN garmin_pull.backfill.attempts IS 'How often Garmin has been asked in vain.';
COMMENT ON COLUMN garmin_pull.backfill.due_at IS 'While pending: not asked for before this moment.';
COMMENT ON COLUMN garmin_pull.backfill.claimed_until IS 'Until then a worker is asking for it, and no other does.';
COMMENT ON COLUMN garmin_pull.backfill.settled_at IS 'When the state became what it is; null while pending.';
COMMENT ON COLUMN garmin_pull.backfill.status IS 'Garmin''s last answer, an HTTP status; null if there was none.';
COMMENT ON COLUMN garmin_pull.backfill.error IS 'Why it is not settled yet, or will not be.';
CREATE INDEX backfill_due ON garmin_pull.backfill (due_at, id) WHERE state = 'pending';

CREATE TABLE garmin_pull.backfill_minimum (
    user_id      text COLLATE "C" NOT NULL REFERENCES garmin_oauth.user_id,
    summary_type text NOT NULL,
    starts_at    timestamptz NOT NULL,
    learnt_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, summary_type)
);
COMMENT ON TABLE garmin_pull.backfill_minimum IS
    'How far back Garmin reaches, as its refusals have told: of each user, as it may count from their first connection.';
COMMENT ON COLUMN garmin_pull.backfill_minimum.user_id IS 'Garmin''s id of the user.';
COMMENT ON COLUMN garmin_pull.backfill_minimum.summary_type IS 'The key under which it comes in notifications.';
COMMENT ON COLUMN garmin_pull.backfill_minimum.starts_at IS 'The earliest start that Garmin takes, rounded up to an hour.';
COMMENT ON COLUMN garmin_pull.backfill_minimum.learnt_at IS 'When Garmin said so; applied for a day.';
