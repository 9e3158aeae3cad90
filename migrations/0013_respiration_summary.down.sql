DROP VIEW garmin_wellness.respiration_sample;
DROP TABLE garmin_wellness.respiration_summary;
