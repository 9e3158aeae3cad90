DROP TABLE garmin_wellness.epoch_summary;
