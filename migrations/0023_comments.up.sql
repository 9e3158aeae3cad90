-- What the tables that no declaration describes mean.

COMMENT ON TABLE garmin_raw.notification IS 'One row a notification as it was received, for some days.';
COMMENT ON COLUMN garmin_raw.notification.message_id IS
    'Its message''s id; the rows of garmin_wellness that came from it name it';
COMMENT ON COLUMN garmin_raw.notification.received_at IS 'When the receiver took it, which decides its partition';
COMMENT ON COLUMN garmin_raw.notification.endpoint IS
    'The summary type that it came as; unknown where neither its address nor its body told one';

COMMENT ON COLUMN garmin_oauth.user_id.active IS 'Whether the user''s data is taken; not so after a deregistration';
COMMENT ON COLUMN garmin_oauth.user_id.deregistered_at IS 'When the user was deregistered last';
COMMENT ON COLUMN garmin_oauth.user_id.permissions IS
    'What the user allows, in Garmin''s words (ACTIVITY_EXPORT, HEALTH_EXPORT, …); null while not known';
COMMENT ON COLUMN garmin_oauth.subject.subject_id IS 'The study''s id of the participant';
COMMENT ON COLUMN garmin_oauth.subject.user_id IS 'The Garmin user that the participant is linked with';
