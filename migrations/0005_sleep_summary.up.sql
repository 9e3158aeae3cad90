CREATE TABLE garmin_wellness.sleep_summary (
    user_id                                    text COLLATE "C" NOT NULL,
    summary_id                                 text,
    calendar_date                              date,
    start_time                                 timestamptz NOT NULL,
    start_time_offset_in_seconds               integer,
    duration_in_seconds                        integer,
    total_nap_duration_in_seconds              integer,
    unmeasurable_sleep_in_seconds              integer,
    deep_sleep_duration_in_seconds             integer,
    light_sleep_duration_in_seconds            integer,
    rem_sleep_in_seconds                       integer,
    awake_duration_in_seconds                  integer,
    sleep_levels_map                           jsonb,
    validation                                 text,
    sleep_spo2_offsets                         integer[],
    sleep_spo2_values                          integer[],
    sleep_respiration_offsets                  integer[],
    sleep_respiration_values                   double precision[],
    overall_sleep_score_value                  integer,
    overall_sleep_score_qualifier_key          text,
    sleep_scores_total_duration_value          integer,
    sleep_scores_total_duration_qualifier_key  text,
    sleep_scores_stress_value                  integer,
    sleep_scores_stress_qualifier_key          text,
    sleep_scores_awake_count_value             integer,
    sleep_scores_awake_count_qualifier_key     text,
    sleep_scores_rem_percentage_value          integer,
    sleep_scores_rem_percentage_qualifier_key  text,
    sleep_scores_restlessness_value            integer,
    sleep_scores_restlessness_qualifier_key    text,
    sleep_scores_light_percentage_value        integer,
    sleep_scores_light_percentage_qualifier_key text,
    sleep_scores_deep_percentage_value         integer,
    sleep_scores_deep_percentage_qualifier_key text,
    naps                                       jsonb,
    extra                                      jsonb,
    received_at                                timestamptz NOT NULL,
    message_id                                 uuid NOT NULL,
    entry_index                                integer NOT NULL,
    content_digest                             bytea NOT NULL,
    PRIMARY KEY (user_id, start_time)
);
COMMENT ON TABLE garmin_wellness.sleep_summary IS 'One row a user and sleep event (Garmin''s sleeps).';
COMMENT ON COLUMN garmin_wellness.sleep_summary.duration_in_seconds IS
    'Time asleep only: start_time plus this is not the end of the night, its last stage''s end is.';

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
