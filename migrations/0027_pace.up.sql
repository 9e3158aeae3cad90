-- How fast Garmin is asked: what all workers together have asked for in the last minute, and until when they pause.

CREATE TABLE garmin_pull.request_second (
    second        bigint PRIMARY KEY,
    requests      bigint NOT NULL,
    backfill_days bigint NOT NULL
);
COMMENT ON TABLE garmin_pull.request_second IS
    'What was granted to workers in each of the last seconds, so that no minute holds more than Garmin allows.';
COMMENT ON COLUMN garmin_pull.request_second.second IS 'Unix seconds, by this server''s clock.';
COMMENT ON COLUMN garmin_pull.request_second.requests IS 'Requests for data.';
COMMENT ON COLUMN garmin_pull.request_second.backfill_days IS 'Days of history asked for.';

CREATE TABLE garmin_pull.pause (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    failures integer NOT NULL,
    until    timestamptz NOT NULL
);
COMMENT ON TABLE garmin_pull.pause IS
    'One row, or none while Garmin has never failed: until when no worker asks Garmin for data.';
COMMENT ON COLUMN garmin_pull.pause.only_row IS 'True: there is one row.';
COMMENT ON COLUMN garmin_pull.pause.failures IS 'How often in a row Garmin has failed, by which the pauses grow.';
COMMENT ON COLUMN garmin_pull.pause.until IS 'The end of the pause.';
