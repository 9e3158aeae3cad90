CREATE TABLE garmin_wellness.respiration_summary (
    user_id                      text COLLATE "C" NOT NULL,
    summary_id                   text,
    start_time                   timestamptz NOT NULL,
    start_time_offset_in_seconds integer,
    duration_in_seconds          integer,
    epoch_to_breaths_offsets     integer[],
    epoch_to_breaths_values      double precision[],
    extra                        jsonb,
    received_at                  timestamptz NOT NULL,
    message_id                   uuid NOT NULL,
    entry_index                  integer NOT NULL,
    content_digest               bytea NOT NULL,
    PRIMARY KEY (user_id, start_time)
);

CREATE VIEW garmin_wellness.respiration_sample AS
SELECT block.user_id,
       subject.subject_id,
       block.start_time + sample.time_offset * interval '1 second' AS time,
       block.start_time AT TIME ZONE 'UTC'
           + (sample.time_offset::bigint + block.start_time_offset_in_seconds) * interval '1 second' AS time_local,
       sample.respiration,
       block.start_time
FROM garmin_wellness.respiration_summary AS block
LEFT JOIN garmin_oauth.subject USING (user_id)
CROSS JOIN LATERAL unnest(block.epoch_to_breaths_offsets, block.epoch_to_breaths_values)
    AS sample (time_offset, respiration)
WHERE sample.respiration > 0;
COMMENT ON VIEW garmin_wellness.respiration_sample IS
    'Breathing rate, one row a sample; what was not measured is left out.';
COMMENT ON COLUMN garmin_wellness.respiration_sample.respiration IS '[1/min] Breaths per minute';
COMMENT ON COLUMN garmin_wellness.respiration_sample.start_time IS
    'Where the row''s summary begins; a condition on it is quick, one on time alone reads every summary';
