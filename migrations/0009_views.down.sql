DROP VIEW garmin_wellness.sleep_nap;
DROP VIEW garmin_wellness.sleep_respiration_sample;
DROP VIEW garmin_wellness.sleep_spo2_sample;
DROP VIEW garmin_wellness.sleep_levels_sample;
DROP VIEW garmin_wellness.body_battery_event;
DROP VIEW garmin_wellness.body_battery_sample;
DROP VIEW garmin_wellness.stress_sample;
DROP VIEW garmin_wellness.heart_rate_sample;

CREATE VIEW garmin_wellness.heart_rate_sample AS
SELECT daily.user_id,
       subject.subject_id,
       daily.start_time + sample.time_offset * interval '1 second' AS time,
       daily.start_time AT TIME ZONE 'UTC'
           + (sample.time_offset::bigint + daily.start_time_offset_in_seconds) * interval '1 second' AS time_local,
       sample.heart_rate
FROM garmin_wellness.daily_summary AS daily
LEFT JOIN garmin_oauth.subject USING (user_id)
CROSS JOIN LATERAL unnest(daily.heart_rate_offsets, daily.heart_rate_values)
    AS sample (time_offset, heart_rate)
WHERE sample.heart_rate > 0;
COMMENT ON VIEW garmin_wellness.heart_rate_sample IS 'Heart rate in beats per minute, one row a sample.';

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

CREATE VIEW garmin_wellness.sleep_levels_sample AS
SELECT sleep.user_id,
       subject.subject_id,
       to_timestamp(stage.start_seconds) AS time,
       to_timestamp(stage.start_seconds) AT TIME ZONE 'UTC'
           + sleep.start_time_offset_in_seconds * interval '1 second' AS time_local,
       to_timestamp(stage.end_seconds) AS end_time,
       stage.level,
       sleep.start_time AS sleep_start_time
FROM garmin_wellness.sleep_summary AS sleep
LEFT JOIN garmin_oauth.subject USING (user_id)
CROSS JOIN LATERAL (
    SELECT levels.level,
           CASE WHEN jsonb_typeof(period -> 'startTimeInSeconds') = 'number'
                THEN (period ->> 'startTimeInSeconds')::double precision END AS start_seconds,
           CASE WHEN jsonb_typeof(period -> 'endTimeInSeconds') = 'number'
                THEN (period ->> 'endTimeInSeconds')::double precision END AS end_seconds
    FROM jsonb_each(sleep.sleep_levels_map) AS levels (level, periods)
    CROSS JOIN LATERAL jsonb_array_elements(
        CASE WHEN jsonb_typeof(levels.periods) = 'array' THEN levels.periods ELSE '[]' END) AS period
) AS stage
-- The years that to_timestamp and every client can show; anything else is not a moment of a night.
WHERE stage.start_seconds BETWEEN 0 AND 253402300799
  AND (stage.end_seconds IS NULL OR stage.end_seconds BETWEEN 0 AND 253402300799);
COMMENT ON VIEW garmin_wellness.sleep_levels_sample IS
    'Sleep stages (deep, light, rem, awake, unmeasurable), one row a period from time to end_time.';
