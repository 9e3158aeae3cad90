DROP VIEW garmin_wellness.blood_glucose;
DROP TABLE garmin_wellness.menstrual_cycle_summary;
