DROP TABLE garmin_wellness.activity_summary;
