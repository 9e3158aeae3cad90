DROP SCHEMA garmin_wellness;
DROP SCHEMA garmin_oauth CASCADE;
