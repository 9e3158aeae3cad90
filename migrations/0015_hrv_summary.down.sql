DROP VIEW garmin_wellness.hrv_sample;
DROP TABLE garmin_wellness.hrv_summary;
