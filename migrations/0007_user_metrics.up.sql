CREATE TABLE garmin_wellness.user_metrics (
    user_id          text COLLATE "C" NOT NULL,
    summary_id       text,
    calendar_date    date NOT NULL,
    vo2_max          double precision,
    vo2_max_cycling  double precision,
    enhanced         boolean,
    fitness_age      integer,
    extra            jsonb,
    received_at      timestamptz NOT NULL,
    message_id       uuid NOT NULL,
    entry_index      integer NOT NULL,
    content_digest   bytea NOT NULL,
    PRIMARY KEY (user_id, calendar_date)
);
COMMENT ON TABLE garmin_wellness.user_metrics IS 'One row a user and date (Garmin''s userMetrics).';
