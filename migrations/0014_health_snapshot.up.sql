CREATE TABLE garmin_wellness.health_snapshot (
    user_id                      text COLLATE "C" NOT NULL,
    summary_id                   text,
    calendar_date                date,
    start_time                   timestamptz NOT NULL,
    start_time_offset_in_seconds integer,
    duration_in_seconds          integer,
    summaries                    jsonb,
    extra                        jsonb,
    received_at                  timestamptz NOT NULL,
    message_id                   uuid NOT NULL,
    entry_index                  integer NOT NULL,
    content_digest               bytea NOT NULL,
    PRIMARY KEY (user_id, start_time)
);

CREATE VIEW garmin_wellness.health_snapshot_summary AS
SELECT snapshot.user_id,
       subject.subject_id,
       snapshot.start_time AS time,
       snapshot.start_time AT TIME ZONE 'UTC'
           + snapshot.start_time_offset_in_seconds * interval '1 second' AS time_local,
       garmin_wellness.json_text(summary -> 'summaryType') AS summary_type,
       garmin_wellness.json_float(summary -> 'minValue') AS min_value,
       garmin_wellness.json_float(summary -> 'maxValue') AS max_value,
       garmin_wellness.json_float(summary -> 'avgValue') AS avg_value,
       snapshot.start_time
FROM garmin_wellness.health_snapshot AS snapshot
LEFT JOIN garmin_oauth.subject USING (user_id)
CROSS JOIN LATERAL jsonb_array_elements(garmin_wellness.json_list(snapshot.summaries)) AS summary;
COMMENT ON VIEW garmin_wellness.health_snapshot_summary IS
    'Health snapshots in figures, one row a snapshot and measurement.';
COMMENT ON COLUMN garmin_wellness.health_snapshot_summary.summary_type IS
    'heart_rate (1/min), respiration (1/min), stress (0 to 100), spo2 (%), rmssd_hrv (ms) or sdrr_hrv (ms)';
COMMENT ON COLUMN garmin_wellness.health_snapshot_summary.min_value IS
    'Lowest value, in the unit of its summary_type';
COMMENT ON COLUMN garmin_wellness.health_snapshot_summary.max_value IS
    'Highest value, in the unit of its summary_type';
COMMENT ON COLUMN garmin_wellness.health_snapshot_summary.avg_value IS
    'Average value, in the unit of its summary_type; the only one of rmssd_hrv and sdrr_hrv';
COMMENT ON COLUMN garmin_wellness.health_snapshot_summary.start_time IS
    'The same as time, under the name that it has in health_snapshot';

CREATE VIEW garmin_wellness.health_snapshot_sample AS
SELECT snapshot.user_id,
       subject.subject_id,
       snapshot.start_time + sample.time_offset * interval '1 second' AS time,
       snapshot.start_time AT TIME ZONE 'UTC'
           + (sample.time_offset::bigint + snapshot.start_time_offset_in_seconds) * interval '1 second' AS time_local,
       sample.summary_type,
       sample.value,
       snapshot.start_time
FROM garmin_wellness.health_snapshot AS snapshot
LEFT JOIN garmin_oauth.subject USING (user_id)
CROSS JOIN LATERAL (
    SELECT garmin_wellness.json_text(summary -> 'summaryType') AS summary_type,
           garmin_wellness.series_offset(point.key) AS time_offset,
           garmin_wellness.json_float(point.value) AS value
    FROM jsonb_array_elements(garmin_wellness.json_list(snapshot.summaries)) AS summary
    CROSS JOIN LATERAL jsonb_each(garmin_wellness.json_open_object(summary -> 'epochSummaries')) AS point
) AS sample
-- Of these measurements only stress has a zero that is a value.
WHERE sample.time_offset IS NOT NULL
  AND (sample.value > 0 OR (sample.value = 0 AND sample.summary_type = 'stress'));
COMMENT ON VIEW garmin_wellness.health_snapshot_sample IS
    'What was measured in health snapshots, one row a sample; what was not measured is left out.';
COMMENT ON COLUMN garmin_wellness.health_snapshot_sample.summary_type IS
    'heart_rate (1/min), respiration (1/min), stress (0 to 100), spo2 (%), rmssd_hrv (ms) or sdrr_hrv (ms)';
COMMENT ON COLUMN garmin_wellness.health_snapshot_sample.value IS 'Value, in the unit of its summary_type';
COMMENT ON COLUMN garmin_wellness.health_snapshot_sample.start_time IS
    'Where the row''s summary begins; a condition on it is quick, one on time alone reads every summary';
