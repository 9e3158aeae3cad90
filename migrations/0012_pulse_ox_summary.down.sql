DROP VIEW garmin_wellness.pulse_ox_sample;
DROP TABLE garmin_wellness.pulse_ox_summary;
