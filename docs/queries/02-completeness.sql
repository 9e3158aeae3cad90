-- Who wore the device when: days with data in the last complete week of the data, by subject. Days that Garmin sent
-- although the device was not worn have no heart rate.
SELECT subject_id,
       count(*) FILTER (WHERE duration_in_seconds = 86400) AS complete_days,
       count(*) FILTER (WHERE cardinality(heart_rate_values) > 0) AS worn_days,
       max(received_at) AS last_received
FROM garmin_oauth.subject
LEFT JOIN garmin_wellness.daily_summary USING (user_id)
WHERE calendar_date > (SELECT max(calendar_date) - 7 FROM garmin_wellness.daily_summary)
GROUP BY subject_id
ORDER BY subject_id;
