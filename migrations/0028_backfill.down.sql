DROP TABLE garmin_pull.backfill_minimum;
DROP TABLE garmin_pull.backfill;
