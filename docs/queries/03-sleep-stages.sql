-- Minutes in each stage, by night. A night's duration counts the time asleep only; its end is that of the last stage.
SELECT subject_id,
       sleep_start_time,
       level,
       round(sum(extract(epoch FROM end_time - time)) / 60) AS minutes
FROM garmin_wellness.sleep_levels_sample
WHERE subject_id IS NOT NULL
GROUP BY subject_id, sleep_start_time, level
ORDER BY subject_id, sleep_start_time, level;
