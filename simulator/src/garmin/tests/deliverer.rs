use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{StatusCode, Uri};
use reqwest::Method;
use tokio::net::TcpListener;

use super::app::{App, OTHER_USER, USER};
use crate::garmin::{Deliverer, Round};
use crate::sender::{SendError, SendOptions};

const BACKFILL: &str = "/wellness-api/rest/backfill/hrv\
    ?summaryStartTimeInSeconds=1790812800&summaryEndTimeInSeconds=1790899200";

/// What came, by path, and what is answered before 200.
#[derive(Clone, Default)]
struct Receiver {
    came: Arc<Mutex<Vec<String>>>,
    refusals: Arc<Mutex<VecDeque<StatusCode>>>,
}

impl Receiver {
    async fn start(&self) -> SendOptions {
        let receiver = self.clone();
        let router = Router::new().fallback(async move |uri: Uri, body: String| {
            let key = body.split('"').nth(1).unwrap_or_default().to_owned();
            receiver.came.lock().unwrap().push(format!("{} {key}", uri.path()));
            receiver.refusals.lock().unwrap().pop_front().unwrap_or(StatusCode::OK)
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/secret", listener.local_addr().unwrap());
        tokio::spawn(async { axum::serve(listener, router).await });
        SendOptions::new(base.parse().unwrap())
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.came.lock().unwrap())
    }
}

#[tokio::test]
async fn notifications_and_history_are_delivered_until_they_are_acknowledged() {
    let app = App::start().await;
    let (receiver, theirs) = (Receiver::default(), app.access_token(OTHER_USER).await);
    let mut deliverer = Deliverer::new(&receiver.start().await).unwrap();
    app.access_token(USER).await;
    app.garmin.disconnect(USER);
    assert_eq!(app.borne(Method::GET, BACKFILL, &theirs).await.status(), 202);

    *receiver.refusals.lock().unwrap() = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::ACCEPTED].into();
    let first = deliverer.round(&app.garmin).await.unwrap();
    let refusal = Some("202 Accepted".to_owned());
    assert_eq!(first, Round { delivered: 2, waiting: 2, refusal });
    let permissions = "/secret/oauth/garmin/permissions userPermissionsChange";
    let gone = "/secret/oauth/garmin/deregistration deregistrations";
    assert_eq!(receiver.take(), [permissions, permissions, gone, "/secret/api_client/garmin hrv"]);

    // Exactly 200 is an acknowledgement.
    let second = deliverer.round(&app.garmin).await.unwrap();
    assert_eq!(second, Round { delivered: 2, ..Round::default() });
    assert_eq!(receiver.take(), [permissions, permissions]);
    assert_eq!(deliverer.round(&app.garmin).await.unwrap(), Round::default());
}

#[tokio::test]
async fn a_receiver_that_is_away_is_named_without_its_secret_path() {
    let app = App::start().await;
    let base = |text: &str| SendOptions::new(text.parse().unwrap());
    let mut deliverer = Deliverer::new(&base("http://127.0.0.1:1/secret")).unwrap();
    app.access_token(USER).await;
    let round = deliverer.round(&app.garmin).await.unwrap();
    assert_eq!(round.waiting, 1);
    assert!(!round.refusal.unwrap().contains("secret"));
    assert!(matches!(Deliverer::new(&base("ftp://127.0.0.1/")), Err(SendError::Base)));
}
