-- Notifications as they were received, to be read again when Apollo learns to understand more of them.
-- Partitioned by the day of arrival (UTC); the worker makes a day's partition when it first needs it and
-- drops those that are older than WORKER__RAW_RETENTION_DAYS.

CREATE SCHEMA garmin_raw;

CREATE TABLE garmin_raw.notification (
    message_id  uuid NOT NULL,
    received_at timestamptz NOT NULL,
    endpoint    text NOT NULL,
    body        bytea NOT NULL,
    PRIMARY KEY (message_id, received_at)
) PARTITION BY RANGE (received_at);
-- Sealed bytes do not compress any further.
ALTER TABLE garmin_raw.notification ALTER COLUMN body SET STORAGE EXTERNAL;
COMMENT ON COLUMN garmin_raw.notification.body IS
    'Compressed (zstd), then sealed with a key of SECRETS__KEYS: it holds access tokens and health data.';
