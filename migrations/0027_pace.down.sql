DROP TABLE garmin_pull.pause;
DROP TABLE garmin_pull.request_second;
