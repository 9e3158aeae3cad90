-- Activity files: the bytes as Garmin gave them, and what a parser reads in those that are FIT files.
--
-- A row has no foreign key to activity_file: the ping that announced a file may be stored after the file itself is, may
-- be taken away alone, as of a later version, and is made again from garmin_raw; the file can be had from Garmin only
-- once. Consent is looked at when it is stored, and withdrawal and erasure go through this table by itself.
--
-- content is compressed where it shrinks (XML does, to a tenth), as is PostgreSQL's default.

CREATE TABLE garmin_wellness.activity_file_content (
    user_id                    text COLLATE "C" NOT NULL,
    summary_id                 text NOT NULL,
    file_type                  text NOT NULL,
    media                      text NOT NULL,
    size_in_bytes              bigint NOT NULL,
    sha256                     bytea NOT NULL,
    content                    bytea NOT NULL,
    state                      text NOT NULL CHECK (state IN ('parsed', 'unreadable', 'not_fit')),
    error                      text CHECK ((error IS NOT NULL) = (state = 'unreadable')),
    parser_version             integer NOT NULL,
    utc_offset_in_seconds      integer,
    record_times               timestamptz[],
    record_latitudes           double precision[],
    record_longitudes          double precision[],
    record_altitudes           double precision[],
    record_heart_rates         integer[],
    record_cadences            integer[],
    record_powers              integer[],
    record_speeds              double precision[],
    record_distances           double precision[],
    record_temperatures        integer[],
    record_extras              jsonb[],
    sessions                   jsonb,
    laps                       jsonb,
    unread                     text[],
    fetched_at                 timestamptz NOT NULL,
    received_at                timestamptz NOT NULL,
    message_id                 uuid NOT NULL,
    entry_index                integer NOT NULL,
    PRIMARY KEY (user_id, summary_id, file_type)
);
COMMENT ON TABLE garmin_wellness.activity_file_content IS
    'One row an activity file that was fetched: its bytes, and what is in it if it is a FIT file';
COMMENT ON COLUMN garmin_wellness.activity_file_content.user_id IS 'Garmin''s id of the user';
COMMENT ON COLUMN garmin_wellness.activity_file_content.summary_id IS
    'The key of the file''s row in activity_file, with file_type';
COMMENT ON COLUMN garmin_wellness.activity_file_content.file_type IS
    'FIT, TCX or GPX as Garmin says; media is what it is';
COMMENT ON COLUMN garmin_wellness.activity_file_content.media IS
    'What the file is by its content: fit, tcx, gpx, zip, xml or unknown';
COMMENT ON COLUMN garmin_wellness.activity_file_content.size_in_bytes IS '[B] Length of the file';
COMMENT ON COLUMN garmin_wellness.activity_file_content.sha256 IS 'SHA-256 digest of the file';
COMMENT ON COLUMN garmin_wellness.activity_file_content.content IS
    'The file as it came; apollo-worker files export writes it to disk';
COMMENT ON COLUMN garmin_wellness.activity_file_content.state IS
    'parsed, unreadable (a FIT file that could not be read: see error) or not_fit (which is not looked into)';
COMMENT ON COLUMN garmin_wellness.activity_file_content.error IS 'Why it is unreadable';
COMMENT ON COLUMN garmin_wellness.activity_file_content.parser_version IS
    'Of Apollo''s parser that looked at it; apollo-worker files parse has a newer one do so again';
COMMENT ON COLUMN garmin_wellness.activity_file_content.utc_offset_in_seconds IS
    '[s] What to add to UTC to get the clock of the device, as the file says at its end';
COMMENT ON COLUMN garmin_wellness.activity_file_content.record_times IS
    'When each record was noted; the arrays beside it are parallel, and null where no record has such a figure';
COMMENT ON COLUMN garmin_wellness.activity_file_content.record_latitudes IS '[°] Latitude';
COMMENT ON COLUMN garmin_wellness.activity_file_content.record_longitudes IS '[°] Longitude';
COMMENT ON COLUMN garmin_wellness.activity_file_content.record_altitudes IS '[m] Altitude';
COMMENT ON COLUMN garmin_wellness.activity_file_content.record_heart_rates IS '[1/min] Heart rate';
COMMENT ON COLUMN garmin_wellness.activity_file_content.record_cadences IS
    '[1/min] Rounds of the crank, or steps of one foot';
COMMENT ON COLUMN garmin_wellness.activity_file_content.record_powers IS '[W] Power';
COMMENT ON COLUMN garmin_wellness.activity_file_content.record_speeds IS '[m/s] Speed';
COMMENT ON COLUMN garmin_wellness.activity_file_content.record_distances IS
    '[m] Distance covered since the activity began';
COMMENT ON COLUMN garmin_wellness.activity_file_content.record_temperatures IS '[°C] Temperature at the device';
COMMENT ON COLUMN garmin_wellness.activity_file_content.record_extras IS
    'What else each record holds, by the names of Garmin''s FIT profile and in its units';
COMMENT ON COLUMN garmin_wellness.activity_file_content.sessions IS
    'The sessions (parts of one sport) with all their fields, by the names of Garmin''s FIT profile and in its units';
COMMENT ON COLUMN garmin_wellness.activity_file_content.laps IS 'The laps, likewise';
COMMENT ON COLUMN garmin_wellness.activity_file_content.unread IS
    'Fields that stand in content only, as the file declares them in a way that the parser does not read rightly';
COMMENT ON COLUMN garmin_wellness.activity_file_content.fetched_at IS 'When the file was stored';
COMMENT ON COLUMN garmin_wellness.activity_file_content.received_at IS
    'When the ping that announced it was received; the latest counts';
COMMENT ON COLUMN garmin_wellness.activity_file_content.message_id IS 'The notification that the ping came in';
COMMENT ON COLUMN garmin_wellness.activity_file_content.entry_index IS 'The ping''s place in that notification';

-- Older deliveries have no activityId: then it is in summary_id, with -file behind or without.
CREATE VIEW garmin_wellness.activity_file_record AS
SELECT content.user_id,
       subject.subject_id,
       record.time,
       record.time AT TIME ZONE 'UTC' + content.utc_offset_in_seconds * interval '1 second' AS time_local,
       record.latitude,
       record.longitude,
       record.altitude,
       record.heart_rate,
       record.cadence,
       record.power,
       record.speed,
       record.distance,
       record.temperature,
       record.extra,
       record.record_number,
       content.summary_id,
       content.file_type,
       coalesce(file.activity_id, substring(content.summary_id FROM '^(\d{1,18})(?:-file)?$')::bigint)
           AS activity_id,
       coalesce(file.start_time, content.record_times[1]) AS start_time
FROM garmin_wellness.activity_file_content AS content
LEFT JOIN garmin_wellness.activity_file AS file USING (user_id, summary_id, file_type)
LEFT JOIN garmin_oauth.subject USING (user_id)
CROSS JOIN LATERAL unnest(
    content.record_times, content.record_latitudes, content.record_longitudes, content.record_altitudes,
    content.record_heart_rates, content.record_cadences, content.record_powers, content.record_speeds,
    content.record_distances, content.record_temperatures, content.record_extras
) WITH ORDINALITY AS record (
    time, latitude, longitude, altitude, heart_rate, cadence, power, speed, distance, temperature, extra,
    record_number
);
COMMENT ON VIEW garmin_wellness.activity_file_record IS
    'The course of activities as their FIT files have it, one row a record: one a second as a rule';
COMMENT ON COLUMN garmin_wellness.activity_file_record.latitude IS '[°] Latitude; null without satellites';
COMMENT ON COLUMN garmin_wellness.activity_file_record.longitude IS '[°] Longitude; null without satellites';
COMMENT ON COLUMN garmin_wellness.activity_file_record.altitude IS '[m] Altitude';
COMMENT ON COLUMN garmin_wellness.activity_file_record.heart_rate IS '[1/min] Heart rate';
COMMENT ON COLUMN garmin_wellness.activity_file_record.cadence IS
    '[1/min] Rounds of the crank, or steps of one foot; extra may have a fractional_cadence to add';
COMMENT ON COLUMN garmin_wellness.activity_file_record.power IS '[W] Power';
COMMENT ON COLUMN garmin_wellness.activity_file_record.speed IS '[m/s] Speed';
COMMENT ON COLUMN garmin_wellness.activity_file_record.distance IS '[m] Distance covered since the activity began';
COMMENT ON COLUMN garmin_wellness.activity_file_record.temperature IS '[°C] Temperature at the device';
COMMENT ON COLUMN garmin_wellness.activity_file_record.extra IS
    'What else the record holds, by the names of Garmin''s FIT profile and in its units';
COMMENT ON COLUMN garmin_wellness.activity_file_record.record_number IS 'The record''s place in its file, from 1';
COMMENT ON COLUMN garmin_wellness.activity_file_record.summary_id IS
    'The key of the file''s row in activity_file and activity_file_content, with file_type';
COMMENT ON COLUMN garmin_wellness.activity_file_record.file_type IS
    'FIT, TCX or GPX as Garmin says; an activity may have come under two of them';
COMMENT ON COLUMN garmin_wellness.activity_file_record.activity_id IS
    'Garmin''s id of the activity; activity_summary has it too';
COMMENT ON COLUMN garmin_wellness.activity_file_record.start_time IS
    'When the activity began; a condition on it is quick, one on time alone reads every file';

CREATE VIEW garmin_wellness.activity_file_session AS
SELECT content.user_id,
       subject.subject_id,
       session.time,
       session.time AT TIME ZONE 'UTC' + content.utc_offset_in_seconds * interval '1 second' AS time_local,
       garmin_wellness.json_text(fields -> 'sport') AS sport,
       garmin_wellness.json_text(fields -> 'sub_sport') AS sub_sport,
       garmin_wellness.json_float(fields -> 'total_elapsed_time') AS total_elapsed_time,
       garmin_wellness.json_float(fields -> 'total_timer_time') AS total_timer_time,
       garmin_wellness.json_float(fields -> 'total_distance') AS total_distance,
       garmin_wellness.json_integer(fields -> 'total_calories') AS total_calories,
       garmin_wellness.json_integer(fields -> 'total_ascent') AS total_ascent,
       garmin_wellness.json_integer(fields -> 'total_descent') AS total_descent,
       garmin_wellness.json_integer(fields -> 'avg_heart_rate') AS avg_heart_rate,
       garmin_wellness.json_integer(fields -> 'max_heart_rate') AS max_heart_rate,
       garmin_wellness.json_integer(fields -> 'avg_cadence') AS avg_cadence,
       garmin_wellness.json_integer(fields -> 'max_cadence') AS max_cadence,
       garmin_wellness.json_integer(fields -> 'avg_power') AS avg_power,
       garmin_wellness.json_integer(fields -> 'max_power') AS max_power,
       coalesce(garmin_wellness.json_float(fields -> 'enhanced_avg_speed'),
                garmin_wellness.json_float(fields -> 'avg_speed')) AS avg_speed,
       coalesce(garmin_wellness.json_float(fields -> 'enhanced_max_speed'),
                garmin_wellness.json_float(fields -> 'max_speed')) AS max_speed,
       fields,
       session_number,
       content.summary_id,
       content.file_type,
       coalesce(file.activity_id, substring(content.summary_id FROM '^(\d{1,18})(?:-file)?$')::bigint)
           AS activity_id,
       coalesce(file.start_time, content.record_times[1]) AS start_time
FROM garmin_wellness.activity_file_content AS content
LEFT JOIN garmin_wellness.activity_file AS file USING (user_id, summary_id, file_type)
LEFT JOIN garmin_oauth.subject USING (user_id)
CROSS JOIN LATERAL jsonb_array_elements(content.sessions) WITH ORDINALITY AS sessions (fields, session_number)
CROSS JOIN LATERAL (SELECT garmin_wellness.json_text(fields -> 'start_time')::timestamptz AS time) AS session;
COMMENT ON VIEW garmin_wellness.activity_file_session IS
    'Sessions of activities as their FIT files have them, one row a session: a part of one sport, most often the whole';
COMMENT ON COLUMN garmin_wellness.activity_file_session.sport IS 'Such as running; new ones are in fields as a number';
COMMENT ON COLUMN garmin_wellness.activity_file_session.sub_sport IS 'Such as road, or generic';
COMMENT ON COLUMN garmin_wellness.activity_file_session.total_elapsed_time IS '[s] From beginning to end';
COMMENT ON COLUMN garmin_wellness.activity_file_session.total_timer_time IS '[s] Of that, while the timer ran';
COMMENT ON COLUMN garmin_wellness.activity_file_session.total_distance IS '[m] Distance covered';
COMMENT ON COLUMN garmin_wellness.activity_file_session.total_calories IS '[kcal] Energy used';
COMMENT ON COLUMN garmin_wellness.activity_file_session.total_ascent IS '[m] Up';
COMMENT ON COLUMN garmin_wellness.activity_file_session.total_descent IS '[m] Down';
COMMENT ON COLUMN garmin_wellness.activity_file_session.avg_heart_rate IS '[1/min] Heart rate on average';
COMMENT ON COLUMN garmin_wellness.activity_file_session.max_heart_rate IS '[1/min] The highest heart rate';
COMMENT ON COLUMN garmin_wellness.activity_file_session.avg_cadence IS
    '[1/min] Rounds of the crank, or steps of one foot, on average';
COMMENT ON COLUMN garmin_wellness.activity_file_session.max_cadence IS '[1/min] The most of these';
COMMENT ON COLUMN garmin_wellness.activity_file_session.avg_power IS '[W] Power on average';
COMMENT ON COLUMN garmin_wellness.activity_file_session.max_power IS '[W] The highest power';
COMMENT ON COLUMN garmin_wellness.activity_file_session.avg_speed IS '[m/s] Speed on average';
COMMENT ON COLUMN garmin_wellness.activity_file_session.max_speed IS '[m/s] The highest speed';
COMMENT ON COLUMN garmin_wellness.activity_file_session.fields IS
    'All that the session holds, by the names of Garmin''s FIT profile and in its units';
COMMENT ON COLUMN garmin_wellness.activity_file_session.session_number IS 'The session''s place in its file, from 1';
COMMENT ON COLUMN garmin_wellness.activity_file_session.summary_id IS
    'The key of the file''s row in activity_file and activity_file_content, with file_type';
COMMENT ON COLUMN garmin_wellness.activity_file_session.file_type IS
    'FIT, TCX or GPX as Garmin says; an activity may have come under two of them';
COMMENT ON COLUMN garmin_wellness.activity_file_session.activity_id IS
    'Garmin''s id of the activity; activity_summary has it too';
COMMENT ON COLUMN garmin_wellness.activity_file_session.start_time IS
    'When the activity began; a condition on it is quick, one on time alone reads every file';

CREATE VIEW garmin_wellness.activity_file_lap AS
SELECT content.user_id,
       subject.subject_id,
       lap.time,
       lap.time AT TIME ZONE 'UTC' + content.utc_offset_in_seconds * interval '1 second' AS time_local,
       lap.end_time,
       garmin_wellness.json_text(fields -> 'lap_trigger') AS lap_trigger,
       garmin_wellness.json_text(fields -> 'intensity') AS intensity,
       garmin_wellness.json_float(fields -> 'total_elapsed_time') AS total_elapsed_time,
       garmin_wellness.json_float(fields -> 'total_timer_time') AS total_timer_time,
       garmin_wellness.json_float(fields -> 'total_distance') AS total_distance,
       garmin_wellness.json_integer(fields -> 'total_calories') AS total_calories,
       garmin_wellness.json_integer(fields -> 'total_ascent') AS total_ascent,
       garmin_wellness.json_integer(fields -> 'total_descent') AS total_descent,
       garmin_wellness.json_integer(fields -> 'avg_heart_rate') AS avg_heart_rate,
       garmin_wellness.json_integer(fields -> 'max_heart_rate') AS max_heart_rate,
       garmin_wellness.json_integer(fields -> 'avg_cadence') AS avg_cadence,
       garmin_wellness.json_integer(fields -> 'max_cadence') AS max_cadence,
       garmin_wellness.json_integer(fields -> 'avg_power') AS avg_power,
       garmin_wellness.json_integer(fields -> 'max_power') AS max_power,
       coalesce(garmin_wellness.json_float(fields -> 'enhanced_avg_speed'),
                garmin_wellness.json_float(fields -> 'avg_speed')) AS avg_speed,
       coalesce(garmin_wellness.json_float(fields -> 'enhanced_max_speed'),
                garmin_wellness.json_float(fields -> 'max_speed')) AS max_speed,
       fields,
       lap_number,
       content.summary_id,
       content.file_type,
       coalesce(file.activity_id, substring(content.summary_id FROM '^(\d{1,18})(?:-file)?$')::bigint)
           AS activity_id,
       coalesce(file.start_time, content.record_times[1]) AS start_time
FROM garmin_wellness.activity_file_content AS content
LEFT JOIN garmin_wellness.activity_file AS file USING (user_id, summary_id, file_type)
LEFT JOIN garmin_oauth.subject USING (user_id)
CROSS JOIN LATERAL jsonb_array_elements(content.laps) WITH ORDINALITY AS laps (fields, lap_number)
CROSS JOIN LATERAL (
    SELECT garmin_wellness.json_text(fields -> 'start_time')::timestamptz AS time,
           garmin_wellness.json_text(fields -> 'timestamp')::timestamptz AS end_time
) AS lap;
COMMENT ON VIEW garmin_wellness.activity_file_lap IS
    'Laps of activities as their FIT files have them, one row a lap from time to end_time';
COMMENT ON COLUMN garmin_wellness.activity_file_lap.end_time IS 'Where the lap ends';
COMMENT ON COLUMN garmin_wellness.activity_file_lap.lap_trigger IS
    'What ended it, such as manual, distance or session_end; new ones are in fields as a number';
COMMENT ON COLUMN garmin_wellness.activity_file_lap.intensity IS 'Such as active, rest, warmup or cooldown';
COMMENT ON COLUMN garmin_wellness.activity_file_lap.total_elapsed_time IS '[s] From beginning to end';
COMMENT ON COLUMN garmin_wellness.activity_file_lap.total_timer_time IS '[s] Of that, while the timer ran';
COMMENT ON COLUMN garmin_wellness.activity_file_lap.total_distance IS '[m] Distance covered';
COMMENT ON COLUMN garmin_wellness.activity_file_lap.total_calories IS '[kcal] Energy used';
COMMENT ON COLUMN garmin_wellness.activity_file_lap.total_ascent IS '[m] Up';
COMMENT ON COLUMN garmin_wellness.activity_file_lap.total_descent IS '[m] Down';
COMMENT ON COLUMN garmin_wellness.activity_file_lap.avg_heart_rate IS '[1/min] Heart rate on average';
COMMENT ON COLUMN garmin_wellness.activity_file_lap.max_heart_rate IS '[1/min] The highest heart rate';
COMMENT ON COLUMN garmin_wellness.activity_file_lap.avg_cadence IS
    '[1/min] Rounds of the crank, or steps of one foot, on average';
COMMENT ON COLUMN garmin_wellness.activity_file_lap.max_cadence IS '[1/min] The most of these';
COMMENT ON COLUMN garmin_wellness.activity_file_lap.avg_power IS '[W] Power on average';
COMMENT ON COLUMN garmin_wellness.activity_file_lap.max_power IS '[W] The highest power';
COMMENT ON COLUMN garmin_wellness.activity_file_lap.avg_speed IS '[m/s] Speed on average';
COMMENT ON COLUMN garmin_wellness.activity_file_lap.max_speed IS '[m/s] The highest speed';
COMMENT ON COLUMN garmin_wellness.activity_file_lap.fields IS
    'All that the lap holds, by the names of Garmin''s FIT profile and in its units';
COMMENT ON COLUMN garmin_wellness.activity_file_lap.lap_number IS 'The lap''s place in its file, from 1';
COMMENT ON COLUMN garmin_wellness.activity_file_lap.summary_id IS
    'The key of the file''s row in activity_file and activity_file_content, with file_type';
COMMENT ON COLUMN garmin_wellness.activity_file_lap.file_type IS
    'FIT, TCX or GPX as Garmin says; an activity may have come under two of them';
COMMENT ON COLUMN garmin_wellness.activity_file_lap.activity_id IS
    'Garmin''s id of the activity; activity_summary has it too';
COMMENT ON COLUMN garmin_wellness.activity_file_lap.start_time IS
    'When the activity began; a condition on it is quick, one on time alone reads every file';
