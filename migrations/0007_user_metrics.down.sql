DROP TABLE garmin_wellness.user_metrics;
