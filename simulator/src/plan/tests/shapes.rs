//! Every summary has its type's documented fields, and every documented field is sent.

use std::collections::HashMap;

use super::*;

/// What Garmin documents: a summary type's key (and the field that an object or a list within it stands in), a kind, and
/// the fields of that kind. With an exclamation mark every summary has them. What all summaries have is left out.
const DOCUMENTED: &str = "
    dailies thirdPartyDailies sleeps stressDetails hrv skinTemp: text! summaryId calendarDate
    dailies thirdPartyDailies sleeps stressDetails hrv skinTemp: whole! startTimeInSeconds startTimeOffsetInSeconds
    dailies thirdPartyDailies sleeps stressDetails hrv skinTemp: whole! durationInSeconds

    dailies thirdPartyDailies: text! activityType
    dailies thirdPartyDailies: whole steps pushes pushesGoal activeTimeInSeconds activeKilocalories bmrKilocalories
    dailies thirdPartyDailies: whole consumedCalories netKilocaloriesGoal floorsClimbed stepsGoal floorsClimbedGoal
    dailies thirdPartyDailies: whole moderateIntensityDurationInSeconds vigorousIntensityDurationInSeconds
    dailies thirdPartyDailies: whole intensityDurationGoalInSeconds
    dailies thirdPartyDailies: number distanceInMeters pushDistanceInMeters
    dailies thirdPartyDailies: text source
    dailies: whole minHeartRateInBeatsPerMinute maxHeartRateInBeatsPerMinute averageHeartRateInBeatsPerMinute
    dailies: whole restingHeartRateInBeatsPerMinute averageStressLevel maxStressLevel stressDurationInSeconds
    dailies: whole restStressDurationInSeconds activityStressDurationInSeconds lowStressDurationInSeconds
    dailies: whole mediumStressDurationInSeconds highStressDurationInSeconds
    dailies: whole bodyBatteryChargedValue bodyBatteryDrainedValue
    dailies: text stressQualifier
    dailies: series timeOffsetHeartRateSamples

    epochs: text! summaryId activityType
    epochs: whole! startTimeInSeconds startTimeOffsetInSeconds durationInSeconds activeTimeInSeconds
    epochs: whole steps pushes activeKilocalories
    epochs: number distanceInMeters pushDistanceInMeters met meanMotionIntensity maxMotionIntensity
    epochs: text intensity

    sleeps: text! validation
    sleeps: whole totalNapDurationInSeconds unmeasurableSleepInSeconds unmeasurableSleepDurationInSeconds
    sleeps: whole deepSleepDurationInSeconds lightSleepDurationInSeconds awakeDurationInSeconds remSleepInSeconds
    sleeps: series timeOffsetSleepSpo2 timeOffsetSleepRespiration
    sleeps: object sleepLevelsMap overallSleepScore sleepScores
    sleeps: list naps
    sleeps.sleepLevelsMap: list deep light rem awake unmeasurable
    sleeps.sleepLevelsMap.deep: whole! startTimeInSeconds endTimeInSeconds
    sleeps.overallSleepScore: whole! value
    sleeps.overallSleepScore: text! qualifierKey
    sleeps.sleepScores: object totalDuration stress awakeCount remPercentage restlessness lightPercentage deepPercentage
    sleeps.sleepScores.awakeCount: text qualifierKey
    sleeps.sleepScores.awakeCount: whole value
    sleeps.naps: whole! napDurationInSeconds napStartTimeInSeconds napOffsetInSeconds
    sleeps.naps: text! napValidation

    bodyComps: text! summaryId
    bodyComps: whole! measurementTimeInSeconds weightInGrams
    bodyComps: whole measurementTimeOffsetInSeconds muscleMassInGrams boneMassInGrams
    bodyComps: number bodyWaterInPercent bodyFatInPercent bodyMassIndex

    stressDetails: series timeOffsetStressLevelValues timeOffsetBodyBatteryValues
    stressDetails: whole averageStressLevel maxStressLevel
    stressDetails: object bodyBatteryDynamicFeedbackEvent
    stressDetails: list bodyBatteryActivityEvents bodyBatteryActivityEventList
    stressDetails.bodyBatteryDynamicFeedbackEvent: whole! eventStartTimeInSeconds
    stressDetails.bodyBatteryDynamicFeedbackEvent: text! bodyBatteryLevel
    stressDetails.bodyBatteryActivityEvents: text! eventType
    stressDetails.bodyBatteryActivityEvents: whole! eventStartTimeInSeconds eventStartTimeOffsetInSeconds
    stressDetails.bodyBatteryActivityEvents: whole! bodyBatteryImpact
    stressDetails.bodyBatteryActivityEvents: whole duration durationInSeconds activityId
    stressDetails.bodyBatteryActivityEvents: text activityName activityType

    userMetrics: text! summaryId calendarDate
    userMetrics: number vo2Max vo2MaxCycling
    userMetrics: boolean enhanced
    userMetrics: whole fitnessAge

    pulseox: text! summaryId calendarDate
    pulseox: number! startTimeInSeconds
    pulseox: whole! startTimeOffsetInSeconds durationInSeconds
    pulseox: series timeOffsetSpo2Values
    pulseox: boolean onDemand

    allDayRespiration: text! summaryId
    allDayRespiration: number! startTimeInSeconds
    allDayRespiration: whole! startTimeOffsetInSeconds durationInSeconds
    allDayRespiration: series timeOffsetEpochToBreaths

    healthSnapshot: text! summaryId calendarDate
    healthSnapshot: whole! startTimeInSeconds durationInSeconds
    healthSnapshot: whole startTimeOffsetInSeconds offsetStartTimeInSeconds
    healthSnapshot: list! summaries
    healthSnapshot.summaries: text! summaryType
    healthSnapshot.summaries: number! avgValue
    healthSnapshot.summaries: number minValue maxValue
    healthSnapshot.summaries: series epochSummaries

    hrv: whole lastNightAvg lastNight5MinHigh
    hrv: series hrvValues

    bloodPressures: text! summaryId
    bloodPressures: whole! measurementTimeInSeconds measurementTimeOffsetInSeconds
    bloodPressures: whole systolic diastolic pulse
    bloodPressures: text sourceType

    skinTemp: number avgDeviationCelsius

    activities manuallyUpdatedActivities activityDetails.summary: text! activityType
    activities manuallyUpdatedActivities activityDetails.summary: whole! startTimeInSeconds startTimeOffsetInSeconds
    activities manuallyUpdatedActivities activityDetails.summary: whole! durationInSeconds
    activities manuallyUpdatedActivities activityDetails.summary: id activityId
    activities manuallyUpdatedActivities activityDetails.summary: text summaryId activityName activityDescription
    activities manuallyUpdatedActivities activityDetails.summary: text deviceName parentSummaryId
    activities manuallyUpdatedActivities activityDetails.summary: boolean isParent manual isWebUpload
    activities manuallyUpdatedActivities activityDetails.summary: whole averageHeartRateInBeatsPerMinute pushes
    activities manuallyUpdatedActivities activityDetails.summary: whole maxHeartRateInBeatsPerMinute activeKilocalories
    activities manuallyUpdatedActivities activityDetails.summary: whole numberOfActiveLengths
    activities manuallyUpdatedActivities activityDetails.summary: number averageSpeedInMetersPerSecond
    activities manuallyUpdatedActivities activityDetails.summary: number maxSpeedInMetersPerSecond distanceInMeters
    activities manuallyUpdatedActivities activityDetails.summary: number averagePaceInMinutesPerKilometer
    activities manuallyUpdatedActivities activityDetails.summary: number maxPaceInMinutesPerKilometer
    activities manuallyUpdatedActivities activityDetails.summary: number averageRunCadenceInStepsPerMinute
    activities manuallyUpdatedActivities activityDetails.summary: number maxRunCadenceInStepsPerMinute
    activities manuallyUpdatedActivities activityDetails.summary: number averageBikeCadenceInRoundsPerMinute
    activities manuallyUpdatedActivities activityDetails.summary: number maxBikeCadenceInRoundsPerMinute
    activities manuallyUpdatedActivities activityDetails.summary: number averageSwimCadenceInStrokesPerMinute
    activities manuallyUpdatedActivities activityDetails.summary: number averagePushCadenceInPushesPerMinute
    activities manuallyUpdatedActivities activityDetails.summary: number maxPushCadenceInPushesPerMinute
    activities manuallyUpdatedActivities activityDetails.summary: number startingLatitudeInDegree
    activities manuallyUpdatedActivities activityDetails.summary: number startingLongitudeInDegree
    activities manuallyUpdatedActivities activityDetails.summary: number totalElevationGainInMeters
    activities manuallyUpdatedActivities activityDetails.summary: number totalElevationLossInMeters
    activities activityDetails.summary: whole steps

    activityDetails: text! summaryId
    activityDetails: id! activityId
    activityDetails: object! summary
    activityDetails: list samples laps
    activityDetails.summary: text userAccessToken
    activityDetails.laps: whole! startTimeInSeconds
    activityDetails.samples: whole! startTimeInSeconds
    activityDetails.samples: number latitudeInDegree longitudeInDegree elevationInMeters airTemperatureCelcius
    activityDetails.samples: whole heartRate timerDurationInSeconds clockDurationInSeconds movingDurationInSeconds
    activityDetails.samples: number speedMetersPerSecond stepsPerMinute totalDistanceInMeters powerInWatts
    activityDetails.samples: number bikeCadenceInRPM swimCadenceInStrokesPerMinute
    activityDetails.samples: number directWheelchairCadence wheelChairCadenceInPushesPerMinute

    activityFiles: text! callbackURL
    activityFiles: text summaryId fileType activityType activityName activityDescription deviceName
    activityFiles: id activityId
    activityFiles: whole startTimeInSeconds
    activityFiles: boolean manual isWebUpload

    moveIQActivities: text! summaryId calendarDate
    moveIQActivities: whole! startTimeInSeconds offsetInSeconds durationInSeconds
    moveIQActivities: text activityType activitySubType

    mct menstrualCycleTracking: text! summaryId periodStartDate
    mct menstrualCycleTracking: whole dayInCycle periodLength cycleLength predictedCycleLength currentPhase
    mct menstrualCycleTracking: whole lengthOfCurrentPhase daysUntilNextPhase fertileWindowStart lengthOfFertileWindow
    mct menstrualCycleTracking: whole lastUpdatedTimeInSeconds
    mct menstrualCycleTracking: boolean isPredictedCycle hasSpecifiedCycleLength hasSpecifiedPeriodLength
    mct menstrualCycleTracking: text currentPhaseType
    mct menstrualCycleTracking: object pregnancySnapshot
    mct.pregnancySnapshot: text title originalDueDate dueDate pregnancyCycleStartDate numOfBabies
    mct.pregnancySnapshot: object weightGoalUserInput
    mct.pregnancySnapshot: list bloodGlucoseList
    mct.pregnancySnapshot.weightGoalUserInput: whole! heightInCentimeters weightInGrams
    mct.pregnancySnapshot.bloodGlucoseList: number! valueInMilligramsPerDeciliter
    mct.pregnancySnapshot.bloodGlucoseList: text! logType
    mct.pregnancySnapshot.bloodGlucoseList: whole! reportTimestampInSeconds
";

/// A documented field.
#[derive(Debug)]
struct Field {
    kind: &'static str,
    always: bool,
    seen: bool,
}

/// The documented fields by where they stand.
type Shapes = BTreeMap<&'static str, BTreeMap<&'static str, Field>>;

fn documented() -> Shapes {
    let mut shapes = Shapes::new();
    for line in DOCUMENTED.lines().filter(|line| !line.trim().is_empty()) {
        let (places, fields) = line.split_once(": ").unwrap();
        let (kind, fields) = fields.split_once(' ').unwrap();
        let always = kind.ends_with('!');
        for place in places.split_whitespace() {
            for field in fields.split_whitespace() {
                let field_of = Field { kind: kind.trim_end_matches('!'), always, seen: false };
                shapes.entry(place).or_default().insert(field, field_of);
            }
        }
    }
    shapes
}

/// Compares an object with what is documented about that place, and what stands within it.
fn check(shapes: &mut Shapes, place: &str, object: &Entry) {
    let Some(shape) = shapes.get_mut(place) else { return };
    let missing: Vec<_> =
        shape.iter().filter(|(name, field)| field.always && !object.contains_key(**name)).collect();
    assert!(missing.is_empty(), "{place} without {missing:?}: {object:?}");
    let mut inner = Vec::new();
    for (name, value) in object {
        if [NOVELTY, "userId", "userAccessToken"].contains(&name.as_str())
            && !shape.contains_key(name.as_str())
        {
            continue;
        }
        let field =
            shape.get_mut(name.as_str()).unwrap_or_else(|| panic!("{place}.{name} is not documented"));
        let is_missing = value.is_null() && !field.always;
        assert!(is_missing || is_of_kind(field.kind, value), "{place}.{name}: {value} is no {}", field.kind);
        field.seen |= !is_missing;
        inner.push((format!("{place}.{name}"), value));
    }
    for (place, value) in inner {
        match value {
            Value::Object(object) if !object.is_empty() => check(shapes, &place, object),
            Value::Array(list) => {
                list.iter().for_each(|item| check(shapes, &place, item.as_object().unwrap()))
            }
            _ => {}
        }
    }
}

fn is_of_kind(kind: &str, value: &Value) -> bool {
    match kind {
        "text" => value.is_string(),
        "whole" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "number" => value.is_number(),
        "id" => value.is_u64() || value.as_str().is_some_and(|digits| digits.parse::<u64>().is_ok()),
        "boolean" => value.is_boolean(),
        "object" => value.is_object(),
        "list" => value.as_array().is_some_and(|list| list.iter().all(Value::is_object)),
        "series" => value.as_object().is_some_and(|samples| {
            samples.iter().all(|(offset, value)| offset.parse::<u32>().is_ok() && value.is_number())
        }),
        _ => panic!("{kind} is no kind"),
    }
}

#[test]
fn every_summary_has_the_documented_fields_and_every_documented_field_is_sent() {
    let plan = Plan { users: 300, days: 2, seed: 7, sample_interval_seconds: Some(3_600) };
    let mut shapes = documented();
    let mut summaries: HashMap<String, u64> = HashMap::new();
    for notification in plan.groups().flat_map(|group| group.notifications()) {
        for (key, list) in lists(&notification) {
            assert!(shapes.contains_key(key.as_str()), "{key} is no documented type");
            *summaries.entry(key.clone()).or_default() += list.len() as u64;
            list.iter().for_each(|entry| check(&mut shapes, &key, entry));
        }
    }
    let keys = crate::expectation::SUMMARY_TYPES.iter().flat_map(|summary_type| summary_type.keys);
    for key in keys {
        assert!(summaries.get(*key).is_some_and(|count| *count > 10), "{key}: {:?}", summaries.get(*key));
    }
    let unsent: Vec<_> = shapes
        .iter()
        .flat_map(|(place, shape)| shape.iter().map(move |(name, field)| (place, name, field)))
        .filter(|(.., field)| !field.seen)
        .collect();
    assert!(unsent.is_empty(), "documented and never sent: {unsent:?}");
}
