DROP TABLE garmin_wellness.activity_file;
