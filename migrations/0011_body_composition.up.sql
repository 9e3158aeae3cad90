CREATE TABLE garmin_wellness.body_composition (
    user_id                            text COLLATE "C" NOT NULL,
    summary_id                         text,
    measurement_time                   timestamptz NOT NULL,
    measurement_time_offset_in_seconds integer,
    weight_in_grams                    integer,
    muscle_mass_in_grams               integer,
    bone_mass_in_grams                 integer,
    body_water_in_percent              double precision,
    body_fat_in_percent                double precision,
    body_mass_index                    double precision,
    extra                              jsonb,
    received_at                        timestamptz NOT NULL,
    message_id                         uuid NOT NULL,
    entry_index                        integer NOT NULL,
    content_digest                     bytea NOT NULL,
    PRIMARY KEY (user_id, measurement_time)
);
