DROP VIEW garmin_wellness.activity_lap;
DROP VIEW garmin_wellness.activity_sample;
DROP TABLE garmin_wellness.activity_detail;
