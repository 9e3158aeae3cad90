-- Mean heart rate by hour of the subject's own clock, in the last 30 days of the data. A condition on `start_time`, the
-- summary's own column, is quick; one on `time` alone would read every summary.
SELECT subject_id,
       extract(hour FROM time_local) AS hour,
       round(avg(heart_rate), 1) AS mean_heart_rate,
       count(*) AS samples
FROM garmin_wellness.heart_rate_sample
WHERE subject_id IS NOT NULL
  AND time_local IS NOT NULL
  AND start_time > (SELECT max(start_time) - interval '30 days' FROM garmin_wellness.daily_summary)
GROUP BY subject_id, hour
ORDER BY subject_id, hour;
