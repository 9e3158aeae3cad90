//! nginx, the real one, in front of the receiver: what passes, what does not, and what is logged.

use apollo_tests::Result;
use apollo_tests::programs::RunningReceiver;
use apollo_tests::site::Site;
use reqwest::{Certificate, Client, StatusCode};
use serde_json::{Value, json};
use xtask::stack::{Nginx, NginxOptions, StackFolder};

const SECRET: &str = "1f0c5a4b9e8d7c6b";

/// nginx before a receiver, and a client that trusts its certificate.
struct Edge {
    nginx: Nginx,
    client: Client,
    _folder: StackFolder,
}

impl Edge {
    fn before(receiver: &RunningReceiver) -> Result<Self> {
        let folder = StackFolder::create("edge")?;
        let address = receiver.url().trim_start_matches("http://");
        let nginx = Nginx::start(&folder, &NginxOptions::for_receiver(address))?;
        let certificate = Certificate::from_pem(&std::fs::read(&nginx.address.certificate_authority)?)?;
        let client = Client::builder()
            .tls_certs_merge([certificate])
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self { nginx, client, _folder: folder })
    }

    async fn post(&self, path: &str, body: String) -> Result<reqwest::Response> {
        let request = self.client.post(format!("{}{path}", self.nginx.address.url())).body(body);
        Ok(request.header("content-type", "application/json").send().await?)
    }
}

fn daily() -> String {
    json!({"dailies": [{"userId": "u", "startTimeInSeconds": 1794265200}]}).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_goes_through_tls_and_the_secret_path_to_the_database() -> Result<()> {
    let site = Site::new().await?;
    let receiver = site.receiver(&["--receiver-push-token", &format!("{SECRET},retiring")]).await?;
    let worker = site.worker(&[]).await?;
    let edge = Edge::before(&receiver)?;

    for token in [SECRET, "retiring"] {
        let path = format!("/{token}/api_client/garmin/dailies");
        assert_eq!(edge.post(&path, daily()).await?.status(), StatusCode::OK, "{token}");
    }
    worker.has_stored(2).await?;
    assert_eq!(site.rows_of("daily_summary").await?.len(), 1);

    for path in
        ["/api_client/garmin/dailies", "/wrong/api_client/garmin/dailies", "/metrics", "/health/ready"]
    {
        let refused = edge.post(path, daily()).await?;
        assert_eq!(refused.status(), StatusCode::NOT_FOUND, "{path}");
        assert_eq!(refused.headers()["content-type"], "application/problem+json", "{path}");
    }

    let log = std::fs::read_to_string(edge.nginx.access_log())?;
    assert!(!log.contains(SECRET), "the secret path is in the access log");
    let lines: Vec<Value> = log.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    assert_eq!(lines[0]["path"], "/-/api_client/garmin/dailies");
    assert_eq!(lines[0]["status"], 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_away_is_a_503_that_garmin_repeats() -> Result<()> {
    let site = Site::new().await?;
    let receiver = site.receiver(&[]).await?;
    let edge = Edge::before(&receiver)?;
    assert_eq!(edge.post("/api_client/garmin", daily()).await?.status(), StatusCode::OK);
    receiver.stop().await?;
    let refused = edge.post("/api_client/garmin", daily()).await?;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(refused.headers()["content-type"], "application/problem+json");
    Ok(())
}
