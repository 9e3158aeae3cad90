CREATE TABLE garmin_wellness.activity_detail (
    user_id                                            text COLLATE "C" NOT NULL,
    summary_id                                         text NOT NULL,
    activity_id                                        bigint,
    summary_summary_id                                 text,
    summary_activity_id                                bigint,
    summary_activity_name                              text,
    summary_activity_description                       text,
    summary_activity_type                              text,
    summary_start_time                                 timestamptz,
    summary_start_time_offset_in_seconds               integer,
    summary_duration_in_seconds                        integer,
    summary_average_heart_rate_in_beats_per_minute     integer,
    summary_max_heart_rate_in_beats_per_minute         double precision,
    summary_average_speed_in_meters_per_second         double precision,
    summary_max_speed_in_meters_per_second             double precision,
    summary_average_pace_in_minutes_per_kilometer      double precision,
    summary_max_pace_in_minutes_per_kilometer          double precision,
    summary_average_run_cadence_in_steps_per_minute    double precision,
    summary_max_run_cadence_in_steps_per_minute        double precision,
    summary_average_bike_cadence_in_rounds_per_minute  double precision,
    summary_max_bike_cadence_in_rounds_per_minute      double precision,
    summary_average_swim_cadence_in_strokes_per_minute double precision,
    summary_average_push_cadence_in_pushes_per_minute  double precision,
    summary_max_push_cadence_in_pushes_per_minute      double precision,
    summary_pushes                                     integer,
    summary_active_kilocalories                        integer,
    summary_distance_in_meters                         double precision,
    summary_number_of_active_lengths                   integer,
    summary_starting_latitude_in_degree                double precision,
    summary_starting_longitude_in_degree               double precision,
    summary_steps                                      integer,
    summary_total_elevation_gain_in_meters             double precision,
    summary_total_elevation_loss_in_meters             double precision,
    summary_device_name                                text,
    summary_is_parent                                  boolean,
    summary_parent_summary_id                          text,
    summary_manual                                     boolean,
    summary_is_web_upload                              boolean,
    samples                                            jsonb,
    laps                                               jsonb,
    extra                                              jsonb,
    received_at                                        timestamptz NOT NULL,
    message_id                                         uuid NOT NULL,
    entry_index                                        integer NOT NULL,
    content_digest                                     bytea NOT NULL,
    PRIMARY KEY (user_id, summary_id)
);

CREATE VIEW garmin_wellness.activity_sample AS
SELECT detail.user_id,
       subject.subject_id,
       sample.time,
       sample.time AT TIME ZONE 'UTC'
           + detail.summary_start_time_offset_in_seconds * interval '1 second' AS time_local,
       garmin_wellness.json_float(record -> 'latitudeInDegree') AS latitude_in_degree,
       garmin_wellness.json_float(record -> 'longitudeInDegree') AS longitude_in_degree,
       garmin_wellness.json_float(record -> 'elevationInMeters') AS elevation_in_meters,
       garmin_wellness.json_float(record -> 'airTemperatureCelcius') AS air_temperature_celcius,
       garmin_wellness.json_integer(record -> 'heartRate') AS heart_rate,
       garmin_wellness.json_float(record -> 'speedMetersPerSecond') AS speed_meters_per_second,
       garmin_wellness.json_float(record -> 'stepsPerMinute') AS steps_per_minute,
       garmin_wellness.json_float(record -> 'totalDistanceInMeters') AS total_distance_in_meters,
       garmin_wellness.json_integer(record -> 'timerDurationInSeconds') AS timer_duration_in_seconds,
       garmin_wellness.json_integer(record -> 'clockDurationInSeconds') AS clock_duration_in_seconds,
       garmin_wellness.json_integer(record -> 'movingDurationInSeconds') AS moving_duration_in_seconds,
       garmin_wellness.json_float(record -> 'powerInWatts') AS power_in_watts,
       garmin_wellness.json_float(record -> 'bikeCadenceInRPM') AS bike_cadence_in_rpm,
       garmin_wellness.json_float(record -> 'swimCadenceInStrokesPerMinute') AS swim_cadence_in_strokes_per_minute,
       coalesce(garmin_wellness.json_float(record -> 'directWheelchairCadence'),
                garmin_wellness.json_float(record -> 'wheelChairCadenceInPushesPerMinute'))
           AS direct_wheelchair_cadence,
       detail.summary_id,
       detail.activity_id,
       records.sample_number,
       detail.summary_start_time AS start_time
FROM garmin_wellness.activity_detail AS detail
LEFT JOIN garmin_oauth.subject USING (user_id)
CROSS JOIN LATERAL jsonb_array_elements(garmin_wellness.json_list(detail.samples))
    WITH ORDINALITY AS records (record, sample_number)
CROSS JOIN LATERAL (SELECT garmin_wellness.json_instant(record -> 'startTimeInSeconds') AS time) AS sample
WHERE sample.time IS NOT NULL;
COMMENT ON VIEW garmin_wellness.activity_sample IS
    'The course of activities, one row a sample; samples are unevenly spaced.';
COMMENT ON COLUMN garmin_wellness.activity_sample.latitude_in_degree IS '[°] Latitude';
COMMENT ON COLUMN garmin_wellness.activity_sample.longitude_in_degree IS '[°] Longitude';
COMMENT ON COLUMN garmin_wellness.activity_sample.elevation_in_meters IS '[m] Elevation';
COMMENT ON COLUMN garmin_wellness.activity_sample.air_temperature_celcius IS
    '[°C] Temperature of the air at the device';
COMMENT ON COLUMN garmin_wellness.activity_sample.heart_rate IS '[1/min] Heart rate';
COMMENT ON COLUMN garmin_wellness.activity_sample.speed_meters_per_second IS '[m/s] Speed';
COMMENT ON COLUMN garmin_wellness.activity_sample.steps_per_minute IS '[1/min] Steps per minute';
COMMENT ON COLUMN garmin_wellness.activity_sample.total_distance_in_meters IS
    '[m] Distance covered since the activity began';
COMMENT ON COLUMN garmin_wellness.activity_sample.timer_duration_in_seconds IS
    '[s] Time since the activity began in which the timer ran';
COMMENT ON COLUMN garmin_wellness.activity_sample.clock_duration_in_seconds IS '[s] Time since the activity began';
COMMENT ON COLUMN garmin_wellness.activity_sample.moving_duration_in_seconds IS
    '[s] Time since the activity began in which the user moved';
COMMENT ON COLUMN garmin_wellness.activity_sample.power_in_watts IS '[W] Power';
COMMENT ON COLUMN garmin_wellness.activity_sample.bike_cadence_in_rpm IS '[1/min] Rounds of the crank per minute';
COMMENT ON COLUMN garmin_wellness.activity_sample.swim_cadence_in_strokes_per_minute IS
    '[1/min] Strokes per minute';
COMMENT ON COLUMN garmin_wellness.activity_sample.direct_wheelchair_cadence IS
    '[1/min] Pushes of the wheelchair per minute';
COMMENT ON COLUMN garmin_wellness.activity_sample.summary_id IS 'The key of the activity''s row in activity_detail';
COMMENT ON COLUMN garmin_wellness.activity_sample.activity_id IS
    'Garmin''s id of the activity; activity_summary has it too';
COMMENT ON COLUMN garmin_wellness.activity_sample.sample_number IS
    'The sample''s place among the activity''s, from 1';
COMMENT ON COLUMN garmin_wellness.activity_sample.start_time IS
    'When the activity began; a condition on it is quick, one on time alone reads every activity';

CREATE VIEW garmin_wellness.activity_lap AS
SELECT detail.user_id,
       subject.subject_id,
       lap.time,
       lap.time AT TIME ZONE 'UTC'
           + detail.summary_start_time_offset_in_seconds * interval '1 second' AS time_local,
       coalesce(lap.next_time, CASE WHEN activity.end_time > lap.time THEN activity.end_time END) AS end_time,
       lap.lap_number,
       detail.summary_id,
       detail.activity_id,
       detail.summary_start_time AS start_time
FROM garmin_wellness.activity_detail AS detail
LEFT JOIN garmin_oauth.subject USING (user_id)
CROSS JOIN LATERAL (
    SELECT detail.summary_start_time + detail.summary_duration_in_seconds * interval '1 second' AS end_time
) AS activity
CROSS JOIN LATERAL (
    SELECT start.time,
           lead(start.time) OVER (ORDER BY start.time) AS next_time,
           row_number() OVER (ORDER BY start.time) AS lap_number
    FROM jsonb_array_elements(garmin_wellness.json_list(detail.laps)) AS record
    CROSS JOIN LATERAL (SELECT garmin_wellness.json_instant(record -> 'startTimeInSeconds') AS time) AS start
    WHERE start.time IS NOT NULL
) AS lap;
COMMENT ON VIEW garmin_wellness.activity_lap IS 'Laps of activities, one row a lap from time to end_time.';
COMMENT ON COLUMN garmin_wellness.activity_lap.end_time IS
    'Where the next lap begins; of the last, where the activity ends by its duration, or null';
COMMENT ON COLUMN garmin_wellness.activity_lap.lap_number IS 'The lap''s place among the activity''s, from 1';
COMMENT ON COLUMN garmin_wellness.activity_lap.summary_id IS 'The key of the activity''s row in activity_detail';
COMMENT ON COLUMN garmin_wellness.activity_lap.activity_id IS
    'Garmin''s id of the activity; activity_summary has it too';
COMMENT ON COLUMN garmin_wellness.activity_lap.start_time IS
    'When the activity began; a condition on it is quick, one on time alone reads every activity';
