//! A series: an object from offsets in seconds to numbers, read into two arrays in the order of time.

use super::cursor::Cursor;
use super::entry::Kept;
use super::field::Number;
use super::number;
use super::value::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The offsets and the values of `json`, and its points that do not fit, or fit only rounded. Nothing if it is
/// no object.
pub(super) fn read(number: Number, json: &str) -> Option<([Value<'_>; 2], Members<'_>)> {
    match number {
        Number::Integer => {
            let (offsets, values, kept) = arrays::<i32>(json)?;
            Some(([Value::Integers(offsets), Value::Integers(values)], kept))
        }
        Number::Float => {
            let (offsets, values, kept) = arrays::<f64>(json)?;
            Some(([Value::Integers(offsets), Value::Floats(values)], kept))
        }
    }
}

type Members<'a> = BTreeMap<Cow<'a, str>, Kept<'a>>;

fn arrays<'a, T: Point>(json: &'a str) -> Option<(Vec<i32>, Vec<T>, Members<'a>)> {
    let Points { mut points, kept } = Points::<T>::of(json)?;
    // Stable, so that of a repeated offset the last stays the last.
    points.sort_by_key(|(offset, _)| *offset);
    let mut arrays = (Vec::with_capacity(points.len()), Vec::with_capacity(points.len()));
    for (index, (offset, value)) in points.iter().enumerate() {
        let is_last = points.get(index + 1).is_none_or(|(next, _)| next != offset);
        if let Some(value) = value.filter(|_| is_last) {
            arrays.0.push(*offset);
            arrays.1.push(value);
        }
    }
    Some((arrays.0, arrays.1, kept))
}

/// A series' points in the order in which they came; no value where it does not fit.
struct Points<'a, T> {
    points: Vec<(i32, Option<T>)>,
    kept: Members<'a>,
}

/// A number of a series.
trait Point: Copy {
    /// The number, and whether it is exactly the one written.
    fn read(json: &str) -> Option<(Self, bool)>;
}

impl Point for i32 {
    fn read(json: &str) -> Option<(Self, bool)> {
        Some((number::integer(json)?.try_into().ok()?, true))
    }
}

impl Point for f64 {
    fn read(json: &str) -> Option<(Self, bool)> {
        let value = number::float(json)?;
        Some((value, number::is_exact(json, value)))
    }
}

impl<'a, T: Point> Points<'a, T> {
    /// Those of `json`; nothing if it is no object.
    fn of(json: &'a str) -> Option<Self> {
        let mut cursor = Cursor::new(json)?;
        let mut points = Self { points: Vec::new(), kept: BTreeMap::new() };
        loop {
            if let Some((offset, json)) = cursor.next_point() {
                points.take(offset, json, || offset.to_string().into());
            } else if let Ok(Some((key, json))) = cursor.next_member() {
                match offset(&key) {
                    Some(offset) => points.take(offset, json, || key),
                    None => drop(points.kept.insert(key, Kept::Raw(json))),
                }
            } else {
                // The end, and no error: what the entry could not be stored for was found when it was opened.
                return Some(points);
            }
        }
    }

    /// Of a repeated key the last counts, so what an earlier one left behind goes.
    fn take(&mut self, offset: i32, json: &'a str, key: impl FnOnce() -> Cow<'a, str>) {
        let point = T::read(json);
        self.points.push((offset, point.map(|(value, _)| value)));
        match point {
            Some((_, true)) if self.kept.is_empty() => {}
            Some((_, true)) => drop(self.kept.remove(&key())),
            _ => drop(self.kept.insert(key(), Kept::Raw(json))),
        }
    }
}

/// Whole seconds in their usual spelling; from any other (`015`, `+15`) the key could not be told again.
fn offset(key: &str) -> Option<i32> {
    let digits = key.strip_prefix('-').unwrap_or(key);
    let usual = key == "0" || !matches!(digits.as_bytes().first(), Some(b'0' | b'+'));
    usual.then(|| key.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const VALUES: [&str; 8] = ["1", "-25", "144.0", "2.5", "1e2", "null", "\"x\"", "0.12345678901234567890"];

    proptest! {
        /// Points without spaces are read on a way of their own.
        #[test]
        fn spaces_make_no_difference(
            points in prop::collection::vec((-3i32..12, prop::sample::select(&VALUES[..])), 0..12),
        ) {
            for number in [Number::Integer, Number::Float] {
                let [close, apart] = ["", " "].map(|space| {
                    let members = points.iter().map(|(offset, value)| format!("\"{offset}\":{space}{value}"));
                    read_json(number, &format!("{{{}}}", members.collect::<Vec<_>>().join(",")))
                });
                prop_assert_eq!(close, apart);
            }
        }
    }

    fn read_json(number: Number, json: &str) -> (Vec<i32>, Value<'static>, String) {
        let ([offsets, values], kept) = read(number, json).unwrap();
        let Value::Integers(offsets) = offsets else { panic!("offsets are integers") };
        let values = match values {
            Value::Integers(values) => Value::Integers(values),
            Value::Floats(values) => Value::Floats(values),
            _ => panic!("values are numbers"),
        };
        (offsets, values, Kept::Object(kept).to_json())
    }

    #[test]
    fn points_are_sorted_by_time() {
        let (offsets, values, kept) = read_json(Number::Integer, r#"{"120": 1, "15": 2.0, "-5": 3}"#);
        assert_eq!((offsets, values), (vec![-5, 15, 120], Value::Integers(vec![3, 2, 1])));
        assert_eq!(kept, "{}");
    }

    #[test]
    fn of_a_repeated_offset_the_last_counts_whatever_it_is() {
        let json =
            r#"{"15": 1, "15": null, "30": null, "30": 2, "45": 3, "\u0034\u0035": 4, "x": 1, "x": 2}"#;
        let (offsets, values, kept) = read_json(Number::Integer, json);
        assert_eq!((offsets, values), (vec![30, 45], Value::Integers(vec![2, 4])));
        assert_eq!(kept, r#"{"15":null,"x":2}"#);
    }

    #[test]
    fn offsets_in_an_unusual_spelling_are_kept_as_they_are() {
        let json = r#"{"015": 1, "+15": 2, "-0": 3, "": 4, "1e1": 5, "99999999999": 6}"#;
        let (offsets, _, kept) = read_json(Number::Integer, json);
        assert_eq!(offsets, Vec::<i32>::new());
        assert_eq!(kept, r#"{"":4,"+15":2,"-0":3,"015":1,"1e1":5,"99999999999":6}"#);
    }

    #[test]
    fn a_value_that_is_rounded_is_kept_exactly_as_well() {
        let json = r#"{"0": 14.42, "60": 0.12345678901234567890}"#;
        let (_, values, kept) = read_json(Number::Float, json);
        assert_eq!(values, Value::Floats(vec![14.42, 0.123_456_789_012_345_68]));
        assert_eq!(kept, r#"{"60":0.12345678901234567890}"#);
    }
}
