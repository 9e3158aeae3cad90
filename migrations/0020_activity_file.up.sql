CREATE TABLE garmin_wellness.activity_file (
    user_id              text COLLATE "C" NOT NULL,
    summary_id           text NOT NULL,
    activity_id          bigint,
    file_type            text NOT NULL,
    start_time           timestamptz,
    activity_type        text,
    activity_name        text,
    activity_description text,
    device_name          text,
    manual               boolean,
    is_web_upload        boolean,
    extra                jsonb,
    received_at          timestamptz NOT NULL,
    message_id           uuid NOT NULL,
    entry_index          integer NOT NULL,
    content_digest       bytea NOT NULL,
    PRIMARY KEY (user_id, summary_id, file_type)
);
