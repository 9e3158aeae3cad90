DROP TABLE garmin_wellness.skin_temperature;
