DROP TABLE garmin_pull.callback;
DROP SCHEMA garmin_pull;
