-- Who the data is about: Garmin's users, and the study's subjects they are linked with.

CREATE SCHEMA garmin_oauth;

CREATE TABLE garmin_oauth.user_id (
    user_id         text COLLATE "C" PRIMARY KEY,
    active          boolean NOT NULL DEFAULT true,
    registered_at   timestamptz,
    deregistered_at timestamptz,
    permissions     text[]
);
COMMENT ON TABLE garmin_oauth.user_id IS 'Every Garmin user that data has come from or who has consented.';
COMMENT ON COLUMN garmin_oauth.user_id.user_id IS 'As Garmin writes it: opaque, stable over reconnects.';
COMMENT ON COLUMN garmin_oauth.user_id.registered_at IS 'When the consent was completed; null while only data has come.';

CREATE TABLE garmin_oauth.subject (
    subject_id text PRIMARY KEY,
    user_id    text COLLATE "C" NOT NULL UNIQUE REFERENCES garmin_oauth.user_id
);
COMMENT ON TABLE garmin_oauth.subject IS 'The study''s participants and the Garmin user each is linked with.';

CREATE SCHEMA garmin_wellness;
