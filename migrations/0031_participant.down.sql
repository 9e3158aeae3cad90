DROP VIEW garmin_wellness.participant;
