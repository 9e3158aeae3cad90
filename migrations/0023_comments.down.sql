COMMENT ON TABLE garmin_raw.notification IS NULL;
COMMENT ON COLUMN garmin_raw.notification.message_id IS NULL;
COMMENT ON COLUMN garmin_raw.notification.received_at IS NULL;
COMMENT ON COLUMN garmin_raw.notification.endpoint IS NULL;

COMMENT ON COLUMN garmin_oauth.user_id.active IS NULL;
COMMENT ON COLUMN garmin_oauth.user_id.deregistered_at IS NULL;
COMMENT ON COLUMN garmin_oauth.user_id.permissions IS NULL;
COMMENT ON COLUMN garmin_oauth.subject.subject_id IS NULL;
COMMENT ON COLUMN garmin_oauth.subject.user_id IS NULL;
