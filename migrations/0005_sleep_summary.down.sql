DROP VIEW garmin_wellness.sleep_levels_sample;
DROP TABLE garmin_wellness.sleep_summary;
