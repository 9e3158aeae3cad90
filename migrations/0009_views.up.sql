-- The views of the tables there are already: the summary's start as a column more, no failure on whatever
-- moments a list holds, what was not shown as rows yet, and comments.

CREATE OR REPLACE VIEW garmin_wellness.heart_rate_sample AS
SELECT daily.user_id,
       subject.subject_id,
       daily.start_time + sample.time_offset * interval '1 second' AS time,
       daily.start_time AT TIME ZONE 'UTC'
           + (sample.time_offset::bigint + daily.start_time_offset_in_seconds) * interval '1 second' AS time_local,
       sample.heart_rate,
       daily.start_time
FROM garmin_wellness.daily_summary AS daily
LEFT JOIN garmin_oauth.subject USING (user_id)
CROSS JOIN LATERAL unnest(daily.heart_rate_offsets, daily.heart_rate_values)
    AS sample (time_offset, heart_rate)
WHERE sample.heart_rate > 0;
COMMENT ON VIEW garmin_wellness.heart_rate_sample IS
    'Heart rate, one row a sample; what was not measured is left out.';
COMMENT ON COLUMN garmin_wellness.heart_rate_sample.heart_rate IS '[1/min] Heart rate';
COMMENT ON COLUMN garmin_wellness.heart_rate_sample.start_time IS
    'Where the row''s summary begins; a condition on it is quick, one on time alone reads every summary';

CREATE OR REPLACE VIEW garmin_wellness.stress_sample AS
SELECT stress.user_id,
       subject.subject_id,
       stress.start_time + sample.time_offset * interval '1 second' AS time,
       stress.start_time AT TIME ZONE 'UTC'
           + (sample.time_offset::bigint + stress.start_time_offset_in_seconds) * interval '1 second' AS time_local,
       sample.stress_level,
       stress.start_time
FROM garmin_wellness.stress_summary AS stress
LEFT JOIN garmin_oauth.subject USING (user_id)
CROSS JOIN LATERAL unnest(stress.stress_level_offsets, stress.stress_level_values)
    AS sample (time_offset, stress_level)
WHERE sample.stress_level >= 0;
COMMENT ON VIEW garmin_wellness.stress_sample IS
    'Stress level, one row a measured sample; what was not measurable is left out.';
COMMENT ON COLUMN garmin_wellness.stress_sample.stress_level IS 'Stress level, 0 to 100';
COMMENT ON COLUMN garmin_wellness.stress_sample.start_time IS
    'Where the row''s summary begins; a condition on it is quick, one on time alone reads every summary';

CREATE OR REPLACE VIEW garmin_wellness.body_battery_sample AS
SELECT stress.user_id,
       subject.subject_id,
       stress.start_time + sample.time_offset * interval '1 second' AS time,
       stress.start_time AT TIME ZONE 'UTC'
           + (sample.time_offset::bigint + stress.start_time_offset_in_seconds) * interval '1 second' AS time_local,
       sample.body_battery,
       stress.start_time
FROM garmin_wellness.stress_summary AS stress
LEFT JOIN garmin_oauth.subject USING (user_id)
CROSS JOIN LATERAL unnest(stress.body_battery_offsets, stress.body_battery_values)
    AS sample (time_offset, body_battery)
WHERE sample.body_battery >= 0;
COMMENT ON VIEW garmin_wellness.body_battery_sample IS
    'Body battery, one row a sample; what was not measured is left out.';
COMMENT ON COLUMN garmin_wellness.body_battery_sample.body_battery IS 'Body battery, 0 to 100';
COMMENT ON COLUMN garmin_wellness.body_battery_sample.start_time IS
    'Where the row''s summary begins; a condition on it is quick, one on time alone reads every summary';

CREATE VIEW garmin_wellness.body_battery_event AS
SELECT stress.user_id,
       subject.subject_id,
       event.time,
       event.time AT TIME ZONE 'UTC'
           + coalesce(event.time_offset, stress.start_time_offset_in_seconds) * interval '1 second' AS time_local,
       event.event_type,
       event.duration_in_seconds,
       event.body_battery_impact,
       event.activity_name,
       event.activity_type,
       event.activity_id,
       stress.start_time
FROM garmin_wellness.stress_summary AS stress
LEFT JOIN garmin_oauth.subject USING (user_id)
-- Where two names of one member are known, the first counts.
CROSS JOIN LATERAL (
    SELECT garmin_wellness.json_instant(record -> 'eventStartTimeInSeconds') AS time,
           coalesce(garmin_wellness.json_integer(record -> 'eventStartTimeOffsetInSeconds'),
                    garmin_wellness.json_integer(record -> 'eventStartTimeOffsetINSeconds')) AS time_offset,
           garmin_wellness.json_text(record -> 'eventType') AS event_type,
           coalesce(garmin_wellness.json_integer(record -> 'duration'),
                    garmin_wellness.json_integer(record -> 'durationInSeconds')) AS duration_in_seconds,
           garmin_wellness.json_integer(record -> 'bodyBatteryImpact') AS body_battery_impact,
           garmin_wellness.json_text(record -> 'activityName') AS activity_name,
           garmin_wellness.json_text(record -> 'activityType') AS activity_type,
           garmin_wellness.json_big_integer(record -> 'activityId') AS activity_id
    FROM jsonb_array_elements(garmin_wellness.json_list(stress.body_battery_activity_events)) AS record
) AS event
WHERE event.time IS NOT NULL;
COMMENT ON VIEW garmin_wellness.body_battery_event IS 'What charged or drained the body battery, one row an event.';
COMMENT ON COLUMN garmin_wellness.body_battery_event.event_type IS
    'SLEEP, RECOVERY, NAP, ACTIVITY or STRESS, in any case of letters';
COMMENT ON COLUMN garmin_wellness.body_battery_event.duration_in_seconds IS '[s] How long the event lasted';
COMMENT ON COLUMN garmin_wellness.body_battery_event.body_battery_impact IS
    'Points of body battery gained; negative if lost';
COMMENT ON COLUMN garmin_wellness.body_battery_event.activity_name IS 'Of an activity, its name';
COMMENT ON COLUMN garmin_wellness.body_battery_event.activity_type IS 'Of an activity, its kind';
COMMENT ON COLUMN garmin_wellness.body_battery_event.activity_id IS
    'Of an activity, its id; activity_summary has it too';
COMMENT ON COLUMN garmin_wellness.body_battery_event.start_time IS
    'Where the row''s summary begins; a condition on it is quick, one on time alone reads every summary';

CREATE OR REPLACE VIEW garmin_wellness.sleep_levels_sample AS
SELECT sleep.user_id,
       subject.subject_id,
       stage.time,
       stage.time AT TIME ZONE 'UTC' + sleep.start_time_offset_in_seconds * interval '1 second' AS time_local,
       stage.end_time,
       stage.level,
       sleep.start_time AS sleep_start_time,
       sleep.start_time
FROM garmin_wellness.sleep_summary AS sleep
LEFT JOIN garmin_oauth.subject USING (user_id)
CROSS JOIN LATERAL (
    SELECT levels.level,
           garmin_wellness.json_instant(period -> 'startTimeInSeconds') AS time,
           garmin_wellness.json_instant(period -> 'endTimeInSeconds') AS end_time
    FROM jsonb_each(garmin_wellness.json_open_object(sleep.sleep_levels_map)) AS levels (level, periods)
    CROSS JOIN LATERAL jsonb_array_elements(garmin_wellness.json_list(levels.periods)) AS period
) AS stage
WHERE stage.time IS NOT NULL;
COMMENT ON VIEW garmin_wellness.sleep_levels_sample IS 'Sleep stages, one row a period from time to end_time.';
COMMENT ON COLUMN garmin_wellness.sleep_levels_sample.end_time IS 'Where the period ends';
COMMENT ON COLUMN garmin_wellness.sleep_levels_sample.level IS 'deep, light, rem, awake or unmeasurable';
COMMENT ON COLUMN garmin_wellness.sleep_levels_sample.sleep_start_time IS 'The same as start_time';
COMMENT ON COLUMN garmin_wellness.sleep_levels_sample.start_time IS
    'Where the row''s summary begins; a condition on it is quick, one on time alone reads every summary';

CREATE VIEW garmin_wellness.sleep_spo2_sample AS
SELECT sleep.user_id,
       subject.subject_id,
       sleep.start_time + sample.time_offset * interval '1 second' AS time,
       sleep.start_time AT TIME ZONE 'UTC'
           + (sample.time_offset::bigint + sleep.start_time_offset_in_seconds) * interval '1 second' AS time_local,
       sample.spo2,
       sleep.start_time
FROM garmin_wellness.sleep_summary AS sleep
LEFT JOIN garmin_oauth.subject USING (user_id)
CROSS JOIN LATERAL unnest(sleep.sleep_spo2_offsets, sleep.sleep_spo2_values)
    AS sample (time_offset, spo2)
WHERE sample.spo2 > 0;
COMMENT ON VIEW garmin_wellness.sleep_spo2_sample IS
    'Blood oxygen saturation during sleep, one row a sample; what was not measured is left out.';
COMMENT ON COLUMN garmin_wellness.sleep_spo2_sample.spo2 IS '[%] Blood oxygen saturation';
COMMENT ON COLUMN garmin_wellness.sleep_spo2_sample.start_time IS
    'Where the row''s summary begins; a condition on it is quick, one on time alone reads every summary';

CREATE VIEW garmin_wellness.sleep_respiration_sample AS
SELECT sleep.user_id,
       subject.subject_id,
       sleep.start_time + sample.time_offset * interval '1 second' AS time,
       sleep.start_time AT TIME ZONE 'UTC'
           + (sample.time_offset::bigint + sleep.start_time_offset_in_seconds) * interval '1 second' AS time_local,
       sample.respiration,
       sleep.start_time
FROM garmin_wellness.sleep_summary AS sleep
LEFT JOIN garmin_oauth.subject USING (user_id)
CROSS JOIN LATERAL unnest(sleep.sleep_respiration_offsets, sleep.sleep_respiration_values)
    AS sample (time_offset, respiration)
WHERE sample.respiration > 0;
COMMENT ON VIEW garmin_wellness.sleep_respiration_sample IS
    'Breathing rate during sleep, one row a sample; what was not measured is left out.';
COMMENT ON COLUMN garmin_wellness.sleep_respiration_sample.respiration IS '[1/min] Breaths per minute';
COMMENT ON COLUMN garmin_wellness.sleep_respiration_sample.start_time IS
    'Where the row''s summary begins; a condition on it is quick, one on time alone reads every summary';

CREATE VIEW garmin_wellness.sleep_nap AS
SELECT sleep.user_id,
       subject.subject_id,
       nap.time,
       nap.time AT TIME ZONE 'UTC'
           + coalesce(nap.time_offset, sleep.start_time_offset_in_seconds) * interval '1 second' AS time_local,
       nap.nap_duration_in_seconds,
       nap.nap_validation,
       sleep.start_time
FROM garmin_wellness.sleep_summary AS sleep
LEFT JOIN garmin_oauth.subject USING (user_id)
CROSS JOIN LATERAL (
    SELECT garmin_wellness.json_instant(record -> 'napStartTimeInSeconds') AS time,
           garmin_wellness.json_integer(record -> 'napOffsetInSeconds') AS time_offset,
           garmin_wellness.json_integer(record -> 'napDurationInSeconds') AS nap_duration_in_seconds,
           garmin_wellness.json_text(record -> 'napValidation') AS nap_validation
    FROM jsonb_array_elements(garmin_wellness.json_list(sleep.naps)) AS record
) AS nap
WHERE nap.time IS NOT NULL;
COMMENT ON VIEW garmin_wellness.sleep_nap IS 'Naps, one row a nap.';
COMMENT ON COLUMN garmin_wellness.sleep_nap.nap_duration_in_seconds IS '[s] How long the nap lasted';
COMMENT ON COLUMN garmin_wellness.sleep_nap.nap_validation IS
    'How it was told: MANUAL or DEVICE, in any case of letters';
COMMENT ON COLUMN garmin_wellness.sleep_nap.start_time IS
    'Where the row''s summary begins; a condition on it is quick, one on time alone reads every summary';
