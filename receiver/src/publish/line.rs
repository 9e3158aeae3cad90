//! Where messages wait until a channel is free for them. Nobody waits in it while nothing can be published.

use super::{Message, NotPublished};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::Instant;

/// Whether messages can be published.
#[derive(Debug, Clone)]
pub(super) enum Broking {
    /// They cannot, for this reason.
    Away(Arc<str>),
    Up,
}

/// A message in the line.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) message: Arc<Message>,
    pub(super) since: Instant,
    /// Takes what became of it; taken when that was told.
    answer: Option<oneshot::Sender<Result<(), NotPublished>>>,
}

impl Waiting {
    /// Tells who waits what became of the message; nobody may wait any more.
    pub(super) fn answer(&mut self, outcome: Result<(), NotPublished>) {
        if let Some(answer) = self.answer.take() {
            let _ = answer.send(outcome);
        }
    }

    /// Whether anybody has yet to be told.
    pub(super) fn is_awaited(&self) -> bool {
        self.answer.as_ref().is_some_and(|answer| !answer.is_closed())
    }
}

/// See the [module](self). Messages leave it in the order in which they came.
#[derive(Debug)]
pub(super) struct Line {
    broking: watch::Sender<Broking>,
    waiting: Mutex<VecDeque<Waiting>>,
    joined: Notify,
}

impl Line {
    /// One that is closed for this reason.
    pub(super) fn closed(reason: &str) -> Self {
        Self {
            broking: watch::Sender::new(Broking::Away(reason.into())),
            waiting: Mutex::default(),
            joined: Notify::new(),
        }
    }

    /// Puts a message at the end; the receiver gets what became of it.
    pub(super) fn join(
        &self,
        message: Arc<Message>,
    ) -> Result<oneshot::Receiver<Result<(), NotPublished>>, NotPublished> {
        // Held to the end, so that whoever closes the line finds all who are in it.
        let broking = self.broking.borrow();
        if let Broking::Away(reason) = &*broking {
            return Err(NotPublished::Away(reason.clone()));
        }
        let (answer, answered) = oneshot::channel();
        self.waiting().push_back(Waiting { message, since: Instant::now(), answer: Some(answer) });
        self.joined.notify_one();
        Ok(answered)
    }

    /// Lets messages in.
    pub(super) fn open(&self) {
        self.broking.send_replace(Broking::Up);
    }

    /// Lets none in any more, and sends those away that wait.
    pub(super) fn close(&self, reason: &Arc<str>) {
        self.broking.send_replace(Broking::Away(reason.clone()));
        for mut waiting in std::mem::take(&mut *self.waiting()) {
            waiting.answer(Err(NotPublished::Away(reason.clone())));
        }
    }

    /// Returns when the line is open.
    pub(super) async fn opened(&self) {
        // It fails when the sender has gone, which is part of this.
        let _ = self.broking.subscribe().wait_for(|broking| matches!(broking, Broking::Up)).await;
    }

    /// Returns when the line is closed after having been open, with the reason.
    pub(super) async fn closing(&self) -> Arc<str> {
        let mut broking = self.broking.subscribe();
        let _ = broking.wait_for(|broking| matches!(broking, Broking::Up)).await;
        match broking.wait_for(|broking| matches!(broking, Broking::Away(_))).await.as_deref() {
            Ok(Broking::Away(reason)) => reason.clone(),
            Ok(Broking::Up) | Err(_) => "the receiver is stopping".into(),
        }
    }

    /// Takes the first messages out, not more than `most`, as soon as there are any.
    pub(super) async fn next_batch(&self, most: usize) -> Vec<Waiting> {
        loop {
            let batch = self.take_batch(most);
            if !batch.is_empty() {
                return batch;
            }
            self.joined.notified().await;
        }
    }

    fn take_batch(&self, most: usize) -> Vec<Waiting> {
        let mut line = self.waiting();
        let count = line.len().min(most);
        let batch = line.drain(..count).collect();
        if !line.is_empty() {
            // One call may have been for several.
            self.joined.notify_one();
        }
        batch
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apollo_shared::envelope::{Envelope, Microseconds};
    use futures_util::future::poll_immediate;
    use std::pin::pin;

    fn message(bytes: usize) -> Arc<Message> {
        let envelope = Envelope::of_arrival("dailies", Microseconds(0), None);
        let routing_key = "push.dailies".to_owned();
        Arc::new(Message { envelope, routing_key, body: "x".repeat(bytes), _room: None })
    }

    fn open_line() -> Line {
        let line = Line::closed("not connected yet");
        line.open();
        line
    }

    #[tokio::test]
    async fn what_waits_is_taken_in_order_and_no_more_than_was_asked_for() {
        let line = open_line();
        let all: Vec<_> = (0..10).map(|_| message(10)).collect();
        let _answers: Vec<_> = all.iter().map(|message| line.join(message.clone()).unwrap()).collect();
        let mut taken = Vec::new();
        for expected in [4, 4, 2] {
            let batch = line.next_batch(4).await;
            assert_eq!(batch.len(), expected);
            taken.extend(batch.into_iter().map(|waiting| waiting.message.envelope.message_id));
        }
        assert!(all.iter().map(|message| message.envelope.message_id).eq(taken));
    }

    #[tokio::test]
    async fn nobody_waits_while_nothing_can_be_published() {
        let line = open_line();
        let mut waiting = line.join(message(1)).unwrap();
        assert!(waiting.try_recv().is_err());
        let mut closing = pin!(line.closing());
        assert!(poll_immediate(closing.as_mut()).await.is_none());
        line.close(&"it blocks publishing".into());
        assert!(matches!(waiting.await.unwrap(), Err(NotPublished::Away(_))));
        assert!(matches!(line.join(message(1)), Err(NotPublished::Away(_))));
        assert_eq!(&*closing.await, "it blocks publishing");

        line.open();
        line.opened().await;
        let answered = line.join(message(1)).unwrap();
        line.next_batch(1).await.iter_mut().for_each(|waiting| waiting.answer(Ok(())));
        assert!(answered.await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn whoever_was_told_or_has_gone_is_not_awaited() {
        let line = open_line();
        let answers = [line.join(message(1)).unwrap(), line.join(message(1)).unwrap()];
        let mut batch = line.next_batch(2).await;
        assert!(batch.iter().all(Waiting::is_awaited));
        batch[0].answer(Ok(()));
        drop(answers);
        assert!(!batch.iter().any(Waiting::is_awaited));
    }
}
