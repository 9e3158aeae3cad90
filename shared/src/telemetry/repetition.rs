//! One event over and over must not fill a log: of each place in the code so many lines a minute are written, and then
//! one that says how many were left out, and what they were like.
//!
//! That goes for what is logged by itself, INFO and above. Who asks for DEBUG or TRACE wants all of it.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Lines of one place in each [`WINDOW`].
const MOST: u32 = 10;

/// From the first of them.
const WINDOW: Duration = Duration::from_secs(60);

/// How often it is looked whether a window is over.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Bytes that are told of a line that was left out.
const LONGEST_EXAMPLE: usize = 300;

/// The target of the lines that say how many were left out, which are never left out.
const TARGET: &str = "apollo::repeated";

/// Lets the first lines of each place through.
#[derive(Debug, Clone, Default)]
pub(super) struct Repetition {
    places: Arc<Mutex<HashMap<Identifier, Place>>>,
}

/// A place in the code, and what it has logged since `begun`.
#[derive(Debug)]
struct Place {
    metadata: &'static Metadata<'static>,
    begun: Instant,
    lines: u32,
    /// The first line that was left out.
    example: Option<String>,
}

/// Lines that were not written.
#[derive(Debug, PartialEq, Eq)]
struct LeftOut {
    level: Level,
    target: &'static str,
    lines: u32,
    example: String,
}

impl Repetition {
    /// Says from time to time what was left out, for as long as the program runs.
    pub(super) fn report(&self) {
        let repetition = self.clone();
        // Without it lines are left out silently, which is no reason not to start.
        let _ = thread::Builder::new().name("repetition".to_owned()).spawn(move || {
            loop {
                thread::sleep(LOOK_EVERY);
                repetition.take_over(Instant::now()).iter().for_each(LeftOut::log);
            }
        });
    }

    fn lets_through(&self, event: &Event<'_>, now: Instant) -> bool {
        let metadata = event.metadata();
        if *metadata.level() > Level::INFO || metadata.target() == TARGET {
            return true;
        }
        let mut places = self.places();
        let place = places.entry(metadata.callsite()).or_insert(Place {
            metadata,
            begun: now,
            lines: 0,
            example: None,
        });
        place.lines += 1;
        let passes = place.lines <= MOST;
        if !passes && place.example.is_none() {
            place.example = Some(message(event));
        }
        passes
    }

    /// Ends the windows that are over by `now`, and says what was left out in them.
    fn take_over(&self, now: Instant) -> Vec<LeftOut> {
        let over = |_: &Identifier, place: &mut Place| now.duration_since(place.begun) >= WINDOW;
        let places: Vec<Place> = self.places().extract_if(over).map(|(_, place)| place).collect();
        places.into_iter().filter_map(Place::left_out).collect()
    }

    fn places(&self) -> MutexGuard<'_, HashMap<Identifier, Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Subscriber> Layer<S> for Repetition {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        self.lets_through(event, Instant::now())
    }
}

impl Place {
    fn left_out(self) -> Option<LeftOut> {
        let lines = self.lines.saturating_sub(MOST);
        let (level, target) = (*self.metadata.level(), self.metadata.target());
        self.example.map(|example| LeftOut { level, target, lines, example })
    }
}

impl LeftOut {
    fn log(&self) {
        let Self { level, target, lines, example } = self;
        let seconds = WINDOW.as_secs();
        match *level {
            Level::ERROR => {
                tracing::error!(target: TARGET, of = target, lines, "{lines} more like this within {seconds} s: {example}");
            }
            Level::WARN => {
                tracing::warn!(target: TARGET, of = target, lines, "{lines} more like this within {seconds} s: {example}");
            }
            _ => {
                tracing::info!(target: TARGET, of = target, lines, "{lines} more like this within {seconds} s: {example}");
            }
        }
    }
}

/// The sentence of an event.
fn message(event: &Event<'_>) -> String {
    let mut message = Message(String::new());
    event.record(&mut message);
    let Message(mut text) = message;
    text.truncate(text.floor_char_boundary(LONGEST_EXAMPLE));
    text
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use tracing::subscriber::with_default;
    use tracing_subscriber::layer::SubscriberExt as _;

    #[derive(Debug, Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Written {
        fn lines(&self) -> Vec<String> {
            let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
            text.lines().map(str::to_owned).collect()
        }
    }

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Logs with the layer, and returns what was written.
    fn logged(repetition: &Repetition, log: impl FnOnce()) -> Vec<String> {
        let written = Written::default();
        let writer = written.clone();
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .without_time();
        with_default(tracing_subscriber::registry().with(repetition.clone()).with(lines), log);
        written.lines()
    }

    fn refused(number: u32) {
        tracing::warn!(number, "entry {number} is refused");
    }

    #[test]
    fn the_same_event_is_logged_ten_times_a_minute_and_the_rest_is_counted() {
        let repetition = Repetition::default();
        let lines = logged(&repetition, || {
            (1..=100).for_each(refused);
            tracing::warn!("something else");
        });
        assert_eq!(lines.len(), 11, "{lines:#?}");
        assert!(lines[9].contains("entry 10 is refused") && lines[10].contains("something else"));

        let now = Instant::now();
        assert_eq!(repetition.take_over(now), [], "the minute is not over");
        let left_out = repetition.take_over(now + WINDOW);
        let lines = logged(&repetition, || {
            left_out.iter().for_each(LeftOut::log);
            refused(101);
        });
        assert_eq!(lines.len(), 2, "{lines:#?}");
        assert!(lines[0].contains("WARN"), "{lines:#?}");
        assert!(lines[0].contains("90 more like this within 60 s: entry 11 is refused"), "{lines:#?}");
        assert!(lines[1].contains("entry 101 is refused"), "another minute has begun");
    }

    #[test]
    fn what_an_operator_asks_for_is_not_left_out() {
        let repetition = Repetition::default();
        let lines = logged(&repetition, || (0..50).for_each(|number| tracing::debug!(number, "a detail")));
        assert_eq!(lines.len(), 50);
    }
}
