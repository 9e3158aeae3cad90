CREATE TABLE garmin_wellness.hrv_summary (
    user_id                      text COLLATE "C" NOT NULL,
    summary_id                   text,
    calendar_date                date,
    start_time                   timestamptz NOT NULL,
    start_time_offset_in_seconds integer,
    duration_in_seconds          integer,
    last_night_avg               integer,
    last_night5_min_high         integer,
    hrv_offsets                  integer[],
    hrv_values                   integer[],
    extra                        jsonb,
    received_at                  timestamptz NOT NULL,
    message_id                   uuid NOT NULL,
    entry_index                  integer NOT NULL,
    content_digest               bytea NOT NULL,
    PRIMARY KEY (user_id, start_time)
);

CREATE VIEW garmin_wellness.hrv_sample AS
SELECT night.user_id,
       subject.subject_id,
       night.start_time + sample.time_offset * interval '1 second' AS time,
       night.start_time AT TIME ZONE 'UTC'
           + (sample.time_offset::bigint + night.start_time_offset_in_seconds) * interval '1 second' AS time_local,
       sample.hrv,
       night.start_time
FROM garmin_wellness.hrv_summary AS night
LEFT JOIN garmin_oauth.subject USING (user_id)
CROSS JOIN LATERAL unnest(night.hrv_offsets, night.hrv_values)
    AS sample (time_offset, hrv)
WHERE sample.hrv > 0;
COMMENT ON VIEW garmin_wellness.hrv_sample IS
    'Heart rate variability during sleep, one row for each 5 minutes; what was not measured is left out.';
COMMENT ON COLUMN garmin_wellness.hrv_sample.hrv IS '[ms] Heart rate variability (RMSSD)';
COMMENT ON COLUMN garmin_wellness.hrv_sample.start_time IS
    'Where the row''s summary begins; a condition on it is quick, one on time alone reads every summary';
