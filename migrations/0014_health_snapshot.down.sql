DROP VIEW garmin_wellness.health_snapshot_sample;
DROP VIEW garmin_wellness.health_snapshot_summary;
DROP TABLE garmin_wellness.health_snapshot;
