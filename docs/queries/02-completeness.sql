-- Who wore the device when: days in the last week of the data, by subject, those without any data included. Days that
-- Garmin sent although the device was not worn have no heart rate.
SELECT subject_id,
       count(*) FILTER (WHERE duration_in_seconds = 86400) AS complete_days,
       count(*) FILTER (WHERE cardinality(heart_rate_values) > 0) AS worn_days,
       max(received_at) AS last_received
FROM garmin_oauth.subject
LEFT JOIN garmin_wellness.daily_summary AS daily
       ON daily.user_id = subject.user_id
      AND calendar_date > (SELECT max(calendar_date) - 7 FROM garmin_wellness.daily_summary)
GROUP BY subject_id
ORDER BY worn_days, subject_id;
