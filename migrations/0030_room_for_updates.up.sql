-- Room in each page for new versions of a few of its rows: an update that finds room beside its row leaves the index alone
-- (HOT). Garmin sends the last epoch and the day's summaries again, longer each time a device syncs; of wide rows a page
-- holds few, so room for one takes more of it. Pages that are there already stay as they are.
ALTER TABLE garmin_wellness.daily_summary SET (fillfactor = 75);
ALTER TABLE garmin_wellness.sleep_summary SET (fillfactor = 75);
ALTER TABLE garmin_wellness.stress_summary SET (fillfactor = 75);
ALTER TABLE garmin_wellness.pulse_ox_summary SET (fillfactor = 75);
ALTER TABLE garmin_wellness.respiration_summary SET (fillfactor = 75);
ALTER TABLE garmin_wellness.hrv_summary SET (fillfactor = 75);
ALTER TABLE garmin_wellness.epoch_summary SET (fillfactor = 90);
ALTER TABLE garmin_wellness.third_party_daily_summary SET (fillfactor = 90);
ALTER TABLE garmin_wellness.user_metrics SET (fillfactor = 90);
ALTER TABLE garmin_wellness.menstrual_cycle_summary SET (fillfactor = 90);
ALTER TABLE garmin_wellness.activity_summary SET (fillfactor = 90);
ALTER TABLE garmin_wellness.move_iq_summary SET (fillfactor = 90);
