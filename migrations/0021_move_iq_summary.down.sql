DROP TABLE garmin_wellness.move_iq_summary;
