//! Whether there is a way left to make messages durable: that is what the receiver is ready for.

use apollo_shared::admin::Readiness;
use prometheus::IntGauge;
use std::sync::{Arc, Mutex, PoisonError};

/// The component's names in readiness.
const BROKER: &str = "broker";
const SPOOL: &str = "spool";

/// What keeps either from taking messages; nothing if it takes them.
#[derive(Debug)]
struct Obstacles {
    broker: Option<String>,
    spool: Option<String>,
}

/// Both ways. One of them is enough.
#[derive(Debug, Clone)]
pub(super) struct Ways {
    readiness: Readiness,
    connected: IntGauge,
    obstacles: Arc<Mutex<Obstacles>>,
}

impl Ways {
    /// `connected` shows whether the broker takes messages; it does not yet, for this reason.
    pub(super) fn new(
        readiness: Readiness,
        connected: IntGauge,
        broker: &str,
        spool: Option<String>,
    ) -> Self {
        let obstacles = Obstacles { broker: Some(broker.to_owned()), spool };
        let ways = Self { readiness, connected, obstacles: Arc::new(Mutex::new(obstacles)) };
        ways.change(|_| {});
        ways
    }

    /// The broker takes messages, or does not for this reason.
    pub(super) fn broker(&self, obstacle: Option<String>) {
        self.change(|obstacles| obstacles.broker = obstacle);
    }

    /// The spool takes messages, or does not for this reason.
    pub(super) fn spool(&self, obstacle: Option<String>) {
        self.change(|obstacles| obstacles.spool = obstacle);
    }

    fn change(&self, change: impl FnOnce(&mut Obstacles)) {
        let mut obstacles = self.obstacles.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut obstacles);
        self.connected.set(obstacles.broker.is_none().into());
        match &*obstacles {
            Obstacles { broker: Some(broker), spool: Some(spool) } => {
                self.readiness.not_ready(BROKER, broker);
                self.readiness.not_ready(SPOOL, spool);
            }
            _ => {
                self.readiness.ready(BROKER);
                self.readiness.ready(SPOOL);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_way_is_enough() {
        let readiness = Readiness::default();
        let connected = IntGauge::new("connected", "1 or 0").unwrap();
        let ways = Ways::new(readiness.clone(), connected.clone(), "not connected yet", None);
        assert_eq!(readiness.reasons(), None);
        ways.spool(Some("full".into()));
        assert_eq!(readiness.reasons().unwrap(), "broker: not connected yet\nspool: full");
        ways.broker(None);
        assert_eq!((readiness.reasons(), connected.get()), (None, 1));
        ways.broker(Some("lost".into()));
        assert_eq!(readiness.reasons().unwrap(), "broker: lost\nspool: full");
        assert_eq!(connected.get(), 0);
        ways.spool(None);
        assert_eq!(readiness.reasons(), None);
    }
}
