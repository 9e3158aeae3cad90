-- Activities with what was measured in them: an activity and its details come in separate notifications, and are joined
-- by the activity's id.
SELECT subject.subject_id,
       activity.activity_id,
       activity.activity_type,
       activity.start_time,
       activity.distance_in_meters,
       count(sample.time) AS samples,
       max(sample.heart_rate) AS highest_heart_rate
FROM garmin_wellness.activity_summary AS activity
JOIN garmin_oauth.subject USING (user_id)
LEFT JOIN garmin_wellness.activity_sample AS sample USING (user_id, activity_id)
GROUP BY subject.subject_id, activity.user_id, activity.summary_id
ORDER BY subject.subject_id, activity.start_time;
