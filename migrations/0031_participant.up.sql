-- Participants in one view, for dashboards and for those who look after a study: who takes part, who has withdrawn, and from
-- whom nothing has come for days. As the sample views it runs with its owner's rights, so its readers need none on
-- garmin_oauth, and it shows nothing of tokens.
--
-- Each column that is worked out is a subquery of its own, so that a query pays only for the columns that it asks for. They
-- use the primary keys: the newest row by start instead of the largest received_at, which no index has. A start in the
-- future, from a device whose clock is wrong, would stay the newest for ever, and does not count. Activities have no start
-- in their key; those of one user are few.

CREATE VIEW garmin_wellness.participant AS
SELECT account.user_id,
       subject.subject_id,
       account.active,
       subject.linked_at,
       account.registered_at,
       CASE WHEN NOT account.active THEN account.deregistered_at END AS withdrawn_at,
       greatest(
           (SELECT received_at FROM garmin_wellness.daily_summary AS daily
            WHERE daily.user_id = account.user_id AND start_time <= now() ORDER BY start_time DESC LIMIT 1),
           (SELECT received_at FROM garmin_wellness.epoch_summary AS epoch
            WHERE epoch.user_id = account.user_id AND start_time <= now() ORDER BY start_time DESC LIMIT 1),
           (SELECT received_at FROM garmin_wellness.sleep_summary AS sleep
            WHERE sleep.user_id = account.user_id AND start_time <= now() ORDER BY start_time DESC LIMIT 1),
           (SELECT received_at FROM garmin_wellness.stress_summary AS stress
            WHERE stress.user_id = account.user_id AND start_time <= now() ORDER BY start_time DESC LIMIT 1),
           (SELECT received_at FROM garmin_wellness.body_composition AS body
            WHERE body.user_id = account.user_id AND measurement_time <= now()
            ORDER BY measurement_time DESC LIMIT 1),
           (SELECT max(received_at) FROM garmin_wellness.activity_summary AS activity
            WHERE activity.user_id = account.user_id)
       ) AS last_received_at,
       (SELECT calendar_date FROM garmin_wellness.daily_summary AS daily
        WHERE daily.user_id = account.user_id ORDER BY start_time LIMIT 1) AS first_day,
       (SELECT calendar_date FROM garmin_wellness.daily_summary AS daily
        WHERE daily.user_id = account.user_id AND start_time <= now() ORDER BY start_time DESC LIMIT 1) AS last_day,
       (SELECT count(*) FROM garmin_wellness.daily_summary AS daily
        WHERE daily.user_id = account.user_id) AS days_with_data
FROM garmin_oauth.user_id AS account
LEFT JOIN garmin_oauth.subject USING (user_id);
COMMENT ON VIEW garmin_wellness.participant IS
    'One row a Garmin user: whether linked, active or withdrawn, and what has come. A query pays for the columns it names.';
COMMENT ON COLUMN garmin_wellness.participant.active IS
    'Whether the user''s data may be stored: false from a deregistration or withdrawal on, until the next completed consent';
COMMENT ON COLUMN garmin_wellness.participant.linked_at IS
    'When the account was first linked with the subject; null while it is not, or if that was before Apollo noted it';
COMMENT ON COLUMN garmin_wellness.participant.registered_at IS
    'When the participant came back from the last completed consent; null while only data has come';
COMMENT ON COLUMN garmin_wellness.participant.withdrawn_at IS
    'When the deregistration arrived, or the withdrawal was asked for; null for those who take part';
COMMENT ON COLUMN garmin_wellness.participant.last_received_at IS
    'When the newest daily, epoch, sleep, stress, body composition or activity summary arrived; null if none has';
COMMENT ON COLUMN garmin_wellness.participant.first_day IS 'The first calendar day of which there is a daily summary';
COMMENT ON COLUMN garmin_wellness.participant.last_day IS 'The last calendar day of which there is a daily summary';
COMMENT ON COLUMN garmin_wellness.participant.days_with_data IS
    'Days of which there is a daily summary; Garmin also makes some of days on which the device was not worn';
