-- Steps and resting heart rate of each subject and day, and how much of the day was covered.
SELECT subject_id,
       calendar_date,
       steps,
       resting_heart_rate_in_beats_per_minute AS resting_heart_rate,
       round(duration_in_seconds / 864.0, 1) AS percent_of_day
FROM garmin_wellness.daily_summary
JOIN garmin_oauth.subject USING (user_id)
ORDER BY subject_id, calendar_date;
