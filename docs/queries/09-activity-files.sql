-- What devices recorded in each minute of an activity, second by second, from its FIT file; `activity_file_lap` and
-- `activity_file_session` have the sums that the device made itself.
SELECT subject_id, activity_id, file_type, date_trunc('minute', time_local) AS minute,
       count(*) AS records, round(avg(heart_rate)) AS heart_rate, round(avg(power)) AS power,
       max(distance) - min(distance) AS meters
FROM garmin_wellness.activity_file_record
WHERE subject_id IS NOT NULL
GROUP BY subject_id, activity_id, file_type, minute
ORDER BY subject_id, activity_id, file_type, minute;
