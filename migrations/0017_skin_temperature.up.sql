CREATE TABLE garmin_wellness.skin_temperature (
    user_id                      text COLLATE "C" NOT NULL,
    summary_id                   text,
    calendar_date                date,
    start_time                   timestamptz NOT NULL,
    start_time_offset_in_seconds integer,
    duration_in_seconds          integer,
    avg_deviation_celsius        double precision,
    extra                        jsonb,
    received_at                  timestamptz NOT NULL,
    message_id                   uuid NOT NULL,
    entry_index                  integer NOT NULL,
    content_digest               bytea NOT NULL,
    PRIMARY KEY (user_id, start_time)
);
