-- What apollo_reader may read: the summaries and their views, those of later migrations too. Not the schemas garmin_oauth
-- (tokens) and garmin_raw (notifications as received). Run as apollo after the migrations, as often as you like.

GRANT USAGE ON SCHEMA garmin_wellness TO apollo_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA garmin_wellness TO apollo_reader;
ALTER DEFAULT PRIVILEGES IN SCHEMA garmin_wellness GRANT SELECT ON TABLES TO apollo_reader;
