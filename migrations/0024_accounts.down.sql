DROP INDEX garmin_raw.notification_user_ids;
ALTER TABLE garmin_raw.notification DROP COLUMN user_ids;
DROP TABLE garmin_oauth.sealing_key;
DROP TABLE garmin_oauth.erased;
DROP TABLE garmin_oauth.access_token;
DROP TABLE garmin_oauth.request_token;
ALTER TABLE garmin_oauth.subject DROP COLUMN linked_at;
DROP INDEX garmin_oauth.user_id_deregistered;
ALTER TABLE garmin_oauth.user_id DROP COLUMN permissions_changed_at;
