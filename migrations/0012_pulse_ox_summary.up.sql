CREATE TABLE garmin_wellness.pulse_ox_summary (
    user_id                      text COLLATE "C" NOT NULL,
    summary_id                   text,
    calendar_date                date,
    start_time                   timestamptz NOT NULL,
    start_time_offset_in_seconds integer,
    duration_in_seconds          integer,
    spo2_offsets                 integer[],
    spo2_values                  integer[],
    on_demand                    boolean NOT NULL,
    extra                        jsonb,
    received_at                  timestamptz NOT NULL,
    message_id                   uuid NOT NULL,
    entry_index                  integer NOT NULL,
    content_digest               bytea NOT NULL,
    PRIMARY KEY (user_id, start_time, on_demand)
);

CREATE VIEW garmin_wellness.pulse_ox_sample AS
SELECT pulse_ox.user_id,
       subject.subject_id,
       pulse_ox.start_time + sample.time_offset * interval '1 second' AS time,
       pulse_ox.start_time AT TIME ZONE 'UTC'
           + (sample.time_offset::bigint + pulse_ox.start_time_offset_in_seconds) * interval '1 second' AS time_local,
       sample.spo2,
       pulse_ox.on_demand,
       pulse_ox.start_time
FROM garmin_wellness.pulse_ox_summary AS pulse_ox
LEFT JOIN garmin_oauth.subject USING (user_id)
CROSS JOIN LATERAL unnest(pulse_ox.spo2_offsets, pulse_ox.spo2_values)
    AS sample (time_offset, spo2)
WHERE sample.spo2 > 0;
COMMENT ON VIEW garmin_wellness.pulse_ox_sample IS
    'Blood oxygen saturation, one row a sample; what was not measured is left out.';
COMMENT ON COLUMN garmin_wellness.pulse_ox_sample.spo2 IS '[%] Blood oxygen saturation';
COMMENT ON COLUMN garmin_wellness.pulse_ox_sample.on_demand IS
    'Whether the user asked for this reading (a spot check)';
COMMENT ON COLUMN garmin_wellness.pulse_ox_sample.start_time IS
    'Where the row''s summary begins; a condition on it is quick, one on time alone reads every summary';
