-- One row a night from several types: sleep score, heart-rate variability, and skin temperature against the user's own
-- baseline. They begin at different moments, so the day of waking joins them.
SELECT subject_id,
       sleep.calendar_date,
       sleep.overall_sleep_score_value AS sleep_score,
       hrv.last_night_avg AS hrv,
       temperature.avg_deviation_celsius AS skin_temperature_deviation
FROM garmin_wellness.sleep_summary AS sleep
JOIN garmin_oauth.subject USING (user_id)
LEFT JOIN garmin_wellness.hrv_summary AS hrv USING (user_id, calendar_date)
LEFT JOIN garmin_wellness.skin_temperature AS temperature USING (user_id, calendar_date)
ORDER BY subject_id, sleep.calendar_date;
