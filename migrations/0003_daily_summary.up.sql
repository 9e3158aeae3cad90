CREATE TABLE garmin_wellness.daily_summary (
    user_id                                text COLLATE "C" NOT NULL,
    summary_id                             text,
    calendar_date                          date,
    start_time                             timestamptz NOT NULL,
    start_time_offset_in_seconds           integer,
    duration_in_seconds                    integer,
    activity_type                          text,
    steps                                  integer,
    distance_in_meters                     double precision,
    pushes                                 integer,
    push_distance_in_meters                double precision,
    pushes_goal                            integer,
    active_time_in_seconds                 integer,
    active_kilocalories                    integer,
    bmr_kilocalories                       integer,
    consumed_calories                      integer,
    net_kilocalories_goal                  integer,
    moderate_intensity_duration_in_seconds integer,
    vigorous_intensity_duration_in_seconds integer,
    floors_climbed                         integer,
    min_heart_rate_in_beats_per_minute     integer,
    max_heart_rate_in_beats_per_minute     integer,
    average_heart_rate_in_beats_per_minute integer,
    resting_heart_rate_in_beats_per_minute integer,
    heart_rate_offsets                     integer[],
    heart_rate_values                      integer[],
    average_stress_level                   integer,
    max_stress_level                       integer,
    stress_duration_in_seconds             integer,
    rest_stress_duration_in_seconds        integer,
    activity_stress_duration_in_seconds    integer,
    low_stress_duration_in_seconds         integer,
    medium_stress_duration_in_seconds      integer,
    high_stress_duration_in_seconds        integer,
    stress_qualifier                       text,
    body_battery_charged_value             integer,
    body_battery_drained_value             integer,
    steps_goal                             integer,
    intensity_duration_goal_in_seconds     integer,
    floors_climbed_goal                    integer,
    source                                 text,
    extra                                  jsonb,
    received_at                            timestamptz NOT NULL,
    message_id                             uuid NOT NULL,
    entry_index                            integer NOT NULL,
    content_digest                         bytea NOT NULL,
    PRIMARY KEY (user_id, start_time)
);
COMMENT ON TABLE garmin_wellness.daily_summary IS 'One row a user and calendar day (Garmin''s dailies).';
COMMENT ON COLUMN garmin_wellness.daily_summary.average_heart_rate_in_beats_per_minute IS
    'Average over the last seven days, not of the day.';

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
