DROP VIEW garmin_wellness.heart_rate_sample;
DROP TABLE garmin_wellness.daily_summary;
