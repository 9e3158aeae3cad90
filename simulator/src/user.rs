//! Who wears the device: an id, a clock, a device, and habits.

use fastrand::Rng;
use time::macros::date;
use time::{Date, Duration};

use crate::chance::{between, derived_seed, happens, one_of};
use crate::cycle::Cycle;

/// The first calendar day of every plan (a Monday).
const FIRST_DAY: Date = date!(2026 - 11 - 09);

const DAY: i64 = 86_400;

/// Offsets from UTC in seconds, among them one that is no whole hour.
const OFFSETS: [i32; 12] =
    [3_600, 0, 34_200, -18_000, 7_200, -28_800, 19_800, 32_400, -10_800, 46_800, -36_000, 20_700];

/// How far a traveller's clock moves, in seconds.
const TRAVELS: [i32; 6] = [3_600, -3_600, 7_200, -21_600, 18_000, 1_800];

/// What a device records.
#[derive(Debug, Clone)]
pub(crate) struct Device {
    /// As the user has called it.
    pub(crate) name: &'static str,
    /// Seconds between two heart-rate samples.
    pub(crate) heart_rate_interval: u32,
    pub(crate) body_battery: bool,
    pub(crate) pulse_ox: bool,
    /// Sleep with scores (ENHANCED_…) rather than without (AUTO_…).
    pub(crate) enhanced_sleep: bool,
    /// Averages within stress details, which only newer devices send.
    pub(crate) stress_averages: bool,
    pub(crate) respiration: bool,
    pub(crate) hrv: bool,
    pub(crate) skin_temperature: bool,
    pub(crate) health_snapshots: bool,
    /// Recognises activities by itself.
    pub(crate) move_iq: bool,
    /// Writes fields as an older document of Garmin's spells them, where two documents disagree.
    pub(crate) other_spellings: bool,
    /// Writes the start of what Garmin documents as float (pulse-ox, respiration) as one, with this part of a second.
    pub(crate) fraction_of_start: Option<f64>,
}

/// A user of Garmin's.
#[derive(Debug, Clone)]
pub(crate) struct User {
    /// Garmin's id: 32 hexadecimal digits, with or without dashes.
    pub(crate) id: String,
    /// What all of this user's summary ids begin with.
    pub(crate) summary_prefix: String,
    pub(crate) device: Device,
    pub(crate) wheelchair: bool,
    pub(crate) resting_heart_rate: u8,
    /// Steps in an average minute of walking, and the like: above 1 for the lively.
    pub(crate) liveliness: f64,
    pub(crate) vo2_max: Option<f64>,
    pub(crate) fitness_age: u8,
    pub(crate) cycle: Option<Cycle>,
    /// Weighs with a scale that is linked.
    pub(crate) scale: bool,
    pub(crate) blood_pressure_monitor: bool,
    /// The maker of an older device that is linked as well.
    pub(crate) linked_source: Option<&'static str>,
    /// Calories come from a linked food app.
    pub(crate) food_app: bool,
    /// Garmin names it in everything about a user who has consented by OAuth 1.0a.
    pub(crate) access_token: Option<String>,
    home_offset: i32,
    travel: Option<Travel>,
    seed: u64,
}

/// From this day on the user's clock shows another time.
#[derive(Debug, Clone)]
struct Travel {
    from_day: u32,
    offset: i32,
}

impl User {
    /// The user whose life follows from `seed`, recording for `days` days.
    pub(crate) fn new(seed: u64, days: u32) -> Self {
        let rng = &mut Rng::with_seed(seed);
        let home_offset = one_of(rng, &OFFSETS);
        let travels = days > 1 && happens(rng, 0.08);
        let linked_source = happens(rng, 0.03).then(|| one_of(rng, &["FITBIT", "POLAR", "MISFIT"]));
        Self {
            id: garmin_id(rng),
            summary_prefix: summary_prefix(rng),
            device: Device::new(rng),
            wheelchair: happens(rng, 0.04),
            resting_heart_rate: rng.u8(42..72),
            liveliness: between(rng, 0.4, 1.6),
            vo2_max: happens(rng, 0.6).then(|| f64::from(rng.u8(30..60))),
            fitness_age: rng.u8(20..70),
            cycle: happens(rng, 0.25).then(|| Cycle::new(rng)),
            scale: happens(rng, 0.25),
            blood_pressure_monitor: happens(rng, 0.12),
            linked_source,
            food_app: happens(rng, if linked_source.is_some() { 0.4 } else { 0.03 }),
            access_token: happens(rng, 0.06).then(|| dashed(&format!("{:032x}", rng.u128(..)))),
            home_offset,
            travel: travels
                .then(|| Travel { from_day: rng.u32(1..days), offset: home_offset + one_of(rng, &TRAVELS) }),
            seed,
        }
    }

    /// What this user draws from for the day with that number, whatever happened on the others.
    pub(crate) fn rng_of_day(&self, day: u32) -> Rng {
        Rng::with_seed(derived_seed(self.seed, day.into()))
    }

    /// What the user's clock shows on that day, in seconds ahead of UTC.
    pub(crate) fn offset_on(&self, day: u32) -> i32 {
        match &self.travel {
            Some(travel) if day >= travel.from_day => travel.offset,
            _ => self.home_offset,
        }
    }

    /// The local midnight that begins the day, in Unix seconds.
    pub(crate) fn start_of(&self, day: u32) -> i64 {
        midnight_utc(day) - i64::from(self.offset_on(day))
    }

    /// Seconds from this midnight to the next: not always 86,400, as the clock may be moved in between, but never more.
    pub(crate) fn length_of(&self, day: u32) -> u32 {
        (self.start_of(day + 1) - self.start_of(day)).min(DAY) as u32
    }
}

impl Device {
    fn new(rng: &mut Rng) -> Self {
        let recent = happens(rng, 0.6);
        Self {
            name: one_of(rng, &["Forerunner 965", "fenix 7", "vívosmart 4", "Venu 3", "Zoës Uhr ⌚"]),
            heart_rate_interval: one_of(rng, &[15, 60, 60, 60, 90, 90, 90, 90, 120, 120, 120, 120, 120, 120]),
            body_battery: recent || happens(rng, 0.5),
            pulse_ox: happens(rng, 0.4),
            enhanced_sleep: recent,
            stress_averages: recent,
            respiration: happens(rng, 0.6),
            hrv: recent && happens(rng, 0.7),
            skin_temperature: recent && happens(rng, 0.4),
            health_snapshots: recent && happens(rng, 0.4),
            move_iq: happens(rng, 0.6),
            other_spellings: happens(rng, 0.15),
            fraction_of_start: happens(rng, 0.15).then(|| one_of(rng, &[0.0, 0.5])),
        }
    }
}

/// Midnight of the day at Greenwich, in Unix seconds.
pub(crate) fn midnight_utc(day: u32) -> i64 {
    FIRST_DAY.midnight().assume_utc().unix_timestamp() + i64::from(day) * DAY
}

/// The calendar date of the day as Garmin writes it; days before the plan's first are negative.
pub(crate) fn calendar_date(day: i64) -> String {
    FIRST_DAY.saturating_add(Duration::days(day)).to_string()
}

/// Both shapes of id occur among Garmin's users.
fn garmin_id(rng: &mut Rng) -> String {
    let digits = format!("{:032x}", rng.u128(..));
    if happens(rng, 0.6) {
        return digits;
    }
    dashed(&digits)
}

/// 32 digits as a UUID.
pub(crate) fn dashed(digits: &str) -> String {
    let (a, b, c, d, e) = (&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]);
    format!("{a}-{b}-{c}-{d}-{e}")
}

fn summary_prefix(rng: &mut Rng) -> String {
    if happens(rng, 0.7) {
        format!("x{:07x}", rng.u32(..0x1000_0000))
    } else {
        format!("sd{:08x}", rng.u32(..))
    }
}
