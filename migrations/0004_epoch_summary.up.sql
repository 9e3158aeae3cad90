CREATE TABLE garmin_wellness.epoch_summary (
    user_id                      text COLLATE "C" NOT NULL,
    summary_id                   text,
    start_time                   timestamptz NOT NULL,
    start_time_offset_in_seconds integer,
    duration_in_seconds          integer,
    activity_type                text NOT NULL,
    active_time_in_seconds       integer,
    steps                        integer,
    pushes                       integer,
    distance_in_meters           double precision,
    push_distance_in_meters      double precision,
    active_kilocalories          integer,
    met                          double precision,
    intensity                    text,
    mean_motion_intensity        double precision,
    max_motion_intensity         double precision,
    extra                        jsonb,
    received_at                  timestamptz NOT NULL,
    message_id                   uuid NOT NULL,
    entry_index                  integer NOT NULL,
    content_digest               bytea NOT NULL,
    PRIMARY KEY (user_id, start_time, activity_type)
);
COMMENT ON TABLE garmin_wellness.epoch_summary IS
    'One row a user, 15-minute slice and activity type within it (Garmin''s epochs).';
