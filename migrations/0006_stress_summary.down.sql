DROP VIEW garmin_wellness.body_battery_sample;
DROP VIEW garmin_wellness.stress_sample;
DROP TABLE garmin_wellness.stress_summary;
