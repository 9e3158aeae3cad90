CREATE TABLE garmin_wellness.stress_summary (
    user_id                                                 text COLLATE "C" NOT NULL,
    summary_id                                              text,
    calendar_date                                           date,
    start_time                                              timestamptz NOT NULL,
    start_time_offset_in_seconds                            integer,
    duration_in_seconds                                     integer,
    average_stress_level                                    integer,
    max_stress_level                                        integer,
    stress_level_offsets                                    integer[],
    stress_level_values                                     integer[],
    body_battery_offsets                                    integer[],
    body_battery_values                                     integer[],
    body_battery_dynamic_feedback_event_event_start_time    timestamptz,
    body_battery_dynamic_feedback_event_body_battery_level  text,
    body_battery_activity_events                            jsonb,
    extra                                                   jsonb,
    received_at                                             timestamptz NOT NULL,
    message_id                                              uuid NOT NULL,
    entry_index                                             integer NOT NULL,
    content_digest                                          bytea NOT NULL,
    PRIMARY KEY (user_id, start_time)
);
COMMENT ON TABLE garmin_wellness.stress_summary IS
    'One row a user and day: stress level and body battery (Garmin''s stressDetails).';
COMMENT ON COLUMN garmin_wellness.stress_summary.stress_level_values IS
    'As sent: -1 off wrist, -2 too much motion, -3 not enough data, -4 recovering from exercise, -5 unidentified.';

CREATE VIEW garmin_wellness.stress_sample AS
SELECT stress.user_id,
       subject.subject_id,
       stress.start_time + sample.time_offset * interval '1 second' AS time,
       stress.start_time AT TIME ZONE 'UTC'
           + (sample.time_offset::bigint + stress.start_time_offset_in_seconds) * interval '1 second' AS time_local,
       sample.stress_level
FROM garmin_wellness.stress_summary AS stress
LEFT JOIN garmin_oauth.subject USING (user_id)
CROSS JOIN LATERAL unnest(stress.stress_level_offsets, stress.stress_level_values)
    AS sample (time_offset, stress_level)
WHERE sample.stress_level >= 0;
COMMENT ON VIEW garmin_wellness.stress_sample IS
    'Stress level 0 to 100, one row a measured sample; what was not measurable is left out.';

CREATE VIEW garmin_wellness.body_battery_sample AS
SELECT stress.user_id,
       subject.subject_id,
       stress.start_time + sample.time_offset * interval '1 second' AS time,
       stress.start_time AT TIME ZONE 'UTC'
           + (sample.time_offset::bigint + stress.start_time_offset_in_seconds) * interval '1 second' AS time_local,
       sample.body_battery
FROM garmin_wellness.stress_summary AS stress
LEFT JOIN garmin_oauth.subject USING (user_id)
CROSS JOIN LATERAL unnest(stress.body_battery_offsets, stress.body_battery_values)
    AS sample (time_offset, body_battery)
WHERE sample.body_battery >= 0;
COMMENT ON VIEW garmin_wellness.body_battery_sample IS 'Body battery 0 to 100, one row a sample.';
