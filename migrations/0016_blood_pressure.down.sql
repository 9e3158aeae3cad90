DROP TABLE garmin_wellness.blood_pressure;
