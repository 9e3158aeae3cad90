//! An answer that is kept for a moment, so that many who ask cost no more than one.

use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// An answer is kept for so many times as long as it took to be had: asking takes a tenth of the time at most.
const TIMES: u32 = 10;

/// The last answer, if there is one yet. Whoever asks while it is being had waits for it.
pub(super) struct Kept<T> {
    at_least: Duration,
    answer: Mutex<Option<(Instant, T)>>,
}

impl<T: Clone> Kept<T> {
    pub(super) fn new(at_least: Duration) -> Self {
        Self { at_least, answer: Mutex::new(None) }
    }

    /// The answer that is kept, or what comes of `asking`.
    pub(super) async fn get(&self, asking: impl Future<Output = T>) -> T {
        let mut answer = self.answer.lock().await;
        let begun = Instant::now();
        match &*answer {
            Some((until, kept)) if begun < *until => kept.clone(),
            _ => {
                let new = asking.await;
                let now = Instant::now();
                let until = now + self.at_least.max(TIMES * now.duration_since(begun));
                answer.insert((until, new)).1.clone()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::ready;

    #[tokio::test]
    async fn an_answer_is_asked_for_again_when_its_time_is_over() {
        let kept = Kept::new(Duration::from_secs(3600));
        assert_eq!((kept.get(ready(1)).await, kept.get(ready(2)).await), (1, 1));
        let fleeting = Kept::new(Duration::ZERO);
        fleeting.get(ready(1)).await;
        let mut asked = 1;
        while asked < 1000 && fleeting.get(ready(asked)).await == 1 {
            asked += 1;
        }
        assert!(asked < 1000);
    }
}
