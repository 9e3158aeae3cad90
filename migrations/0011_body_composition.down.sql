DROP TABLE garmin_wellness.body_composition;
