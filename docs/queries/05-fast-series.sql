-- The same series read from its arrays, for a long time of many users: here the share of samples above 100 beats a
-- minute, by day.
SELECT subject_id,
       calendar_date,
       round(avg((heart_rate > 100)::integer), 3) AS share_above_100
FROM garmin_wellness.daily_summary
JOIN garmin_oauth.subject USING (user_id)
CROSS JOIN LATERAL unnest(heart_rate_values) AS heart_rate
WHERE heart_rate > 0
GROUP BY subject_id, calendar_date
ORDER BY subject_id, calendar_date;
