DROP VIEW garmin_wellness.activity_file_lap;
DROP VIEW garmin_wellness.activity_file_session;
DROP VIEW garmin_wellness.activity_file_record;
DROP TABLE garmin_wellness.activity_file_content;
