CREATE TABLE garmin_wellness.menstrual_cycle_summary (
    user_id                                                         text COLLATE "C" NOT NULL,
    summary_id                                                      text,
    period_start_date                                               date NOT NULL,
    day_in_cycle                                                    integer,
    period_length                                                   integer,
    cycle_length                                                    integer,
    predicted_cycle_length                                          integer,
    is_predicted_cycle                                              boolean,
    current_phase                                                   integer,
    current_phase_type                                              text,
    length_of_current_phase                                         integer,
    days_until_next_phase                                           integer,
    fertile_window_start                                            integer,
    length_of_fertile_window                                        integer,
    last_updated_time                                               timestamptz,
    has_specified_cycle_length                                      boolean,
    has_specified_period_length                                     boolean,
    pregnancy_snapshot_title                                        text,
    pregnancy_snapshot_original_due_date                            date,
    pregnancy_snapshot_due_date                                     date,
    pregnancy_snapshot_pregnancy_cycle_start_date                   date,
    pregnancy_snapshot_num_of_babies                                text,
    pregnancy_snapshot_weight_goal_user_input_height_in_centimeters integer,
    pregnancy_snapshot_weight_goal_user_input_weight_in_grams       integer,
    pregnancy_snapshot_blood_glucose_list                           jsonb,
    extra                                                           jsonb,
    received_at                                                     timestamptz NOT NULL,
    message_id                                                      uuid NOT NULL,
    entry_index                                                     integer NOT NULL,
    content_digest                                                  bytea NOT NULL,
    PRIMARY KEY (user_id, period_start_date)
);

CREATE VIEW garmin_wellness.blood_glucose AS
SELECT cycle.user_id,
       subject.subject_id,
       note.time,
       NULL::timestamp AS time_local,
       note.value_in_milligrams_per_deciliter,
       note.log_type,
       cycle.period_start_date
FROM garmin_wellness.menstrual_cycle_summary AS cycle
LEFT JOIN garmin_oauth.subject USING (user_id)
CROSS JOIN LATERAL (
    SELECT garmin_wellness.json_instant(record -> 'reportTimestampInSeconds') AS time,
           garmin_wellness.json_float(record -> 'valueInMilligramsPerDeciliter') AS value_in_milligrams_per_deciliter,
           garmin_wellness.json_text(record -> 'logType') AS log_type
    FROM jsonb_array_elements(garmin_wellness.json_list(cycle.pregnancy_snapshot_blood_glucose_list)) AS record
) AS note
WHERE note.time IS NOT NULL;
COMMENT ON VIEW garmin_wellness.blood_glucose IS
    'Blood glucose that users noted during pregnancy, one row a note. Garmin tells no offset, so time_local is null.';
COMMENT ON COLUMN garmin_wellness.blood_glucose.value_in_milligrams_per_deciliter IS '[mg/dL] Blood glucose';
COMMENT ON COLUMN garmin_wellness.blood_glucose.log_type IS
    'When it was taken: BEFOREMEAL, AFTERMEAL, BEFOREBED or OTHER';
COMMENT ON COLUMN garmin_wellness.blood_glucose.period_start_date IS
    'First day of the cycle whose summary the note came with';
