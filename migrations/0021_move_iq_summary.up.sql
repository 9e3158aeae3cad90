CREATE TABLE garmin_wellness.move_iq_summary (
    user_id             text COLLATE "C" NOT NULL,
    summary_id          text,
    calendar_date       date,
    start_time          timestamptz NOT NULL,
    offset_in_seconds   integer,
    duration_in_seconds integer,
    activity_type       text NOT NULL,
    activity_sub_type   text,
    extra               jsonb,
    received_at         timestamptz NOT NULL,
    message_id          uuid NOT NULL,
    entry_index         integer NOT NULL,
    content_digest      bytea NOT NULL,
    PRIMARY KEY (user_id, start_time, activity_type)
);
