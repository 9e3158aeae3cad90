CREATE TABLE garmin_wellness.blood_pressure (
    user_id                            text COLLATE "C" NOT NULL,
    summary_id                         text,
    measurement_time                   timestamptz NOT NULL,
    measurement_time_offset_in_seconds integer,
    systolic                           integer,
    diastolic                          integer,
    pulse                              integer,
    source_type                        text,
    extra                              jsonb,
    received_at                        timestamptz NOT NULL,
    message_id                         uuid NOT NULL,
    entry_index                        integer NOT NULL,
    content_digest                     bytea NOT NULL,
    PRIMARY KEY (user_id, measurement_time)
);
