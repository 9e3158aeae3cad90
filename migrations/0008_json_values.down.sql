DROP FUNCTION garmin_wellness.series_offset;
DROP FUNCTION garmin_wellness.json_open_object;
DROP FUNCTION garmin_wellness.json_list;
DROP FUNCTION garmin_wellness.json_instant;
DROP FUNCTION garmin_wellness.json_big_integer;
DROP FUNCTION garmin_wellness.json_integer;
DROP FUNCTION garmin_wellness.json_float;
DROP FUNCTION garmin_wellness.json_text;
