//! TLS to the broker and to the database, with certificates of a private authority.

use apollo_tests::Result;
use apollo_tests::programs::WITHOUT_SPOOL;
use apollo_tests::site::Site;
use std::path::Path;
use xtask::stack::{Authority, Stack, StackFolder, postgres, rabbitmq};

const DAILIES: &str = "/api_client/garmin/dailies";
const DAILY: &str = r#"{"dailies": [{"userId": "u", "startTimeInSeconds": 1794265200, "steps": 1}]}"#;

/// Points the programs at the servers under a host name, the database's certificate to be signed by `authority`.
fn address(site: &mut Site, servers: &Stack, host: &str, authority: &Path) {
    let amqps_port = servers.rabbitmq.address.amqps_port.unwrap_or_default();
    let broker = |user: &str| format!("amqps://{user}:{user}@{host}:{amqps_port}/{}", site.name());
    let (of_worker, of_receiver) = (broker(rabbitmq::WORKER), broker(rabbitmq::RECEIVER));
    site.addresses.worker_database = format!(
        "postgres://{}@{host}:{}/{}?sslmode=verify-full&sslrootcert={}",
        postgres::WORKER,
        servers.postgres.address.port,
        site.name(),
        authority.display()
    );
    site.addresses.worker_broker = of_worker;
    site.addresses.receiver_broker = of_receiver;
}

/// The options of a receiver that says why it is not connected, among them these.
fn receivers([name, value]: [&str; 2]) -> [&str; 4] {
    let [spool, none] = WITHOUT_SPOOL;
    [name, value, spool, none]
}

#[tokio::test(flavor = "multi_thread")]
async fn only_servers_whose_certificates_are_right_are_talked_to() -> Result<()> {
    let folder = StackFolder::create("tls")?;
    let authority = Authority::new(&folder, "authority")?;
    let (trusted, other) = (authority.file(), Authority::new(&folder, "other-authority")?.file());
    let trust = ["--rabbitmq-ca-file", &trusted.display().to_string()];
    let mut servers = Stack::start_with_tls(folder, &authority.expired_certificate_for("localhost")?)?;
    let mut site = Site::on(servers.postgres.address.clone(), servers.rabbitmq.address.clone()).await?;

    address(&mut site, &servers, "localhost", &trusted);
    let (receiver, worker) =
        (site.starting_receiver(&receivers(trust)).await?, site.starting_worker(&trust).await?);
    receiver.gives_reason("its certificate has expired").await?;
    worker.gives_reason("PostgreSQL is not trusted: its certificate has expired").await?;

    // Both are renewed, and that is all that anybody has to do.
    let certificate = authority.certificate_for("localhost")?;
    servers.postgres.use_certificate(&certificate)?;
    servers.postgres.restart()?;
    worker.gives_reason("is not trusted: its certificate has expired (RABBITMQ__CA_FILE").await?;
    servers.rabbitmq.use_certificate(&certificate)?;
    servers.rabbitmq.restart()?;
    receiver.ready().await?;
    worker.ready().await?;
    receiver.accept(DAILIES, DAILY).await?;
    worker.has_stored(1).await?;
    assert_eq!(site.count("SELECT count(*) FROM garmin_wellness.daily_summary WHERE steps = 1").await?, 1);

    let distrust = ["--rabbitmq-ca-file", &other.display().to_string()];
    let unsigned = "is not trusted: its certificate is not signed by an authority that is trusted here";
    site.starting_receiver(&receivers(distrust)).await?.gives_reason(unsigned).await?;
    site.starting_worker(&distrust).await?.gives_reason(unsigned).await?;
    site.starting_receiver(&WITHOUT_SPOOL).await?.gives_reason(unsigned).await?;
    address(&mut site, &servers, "localhost", &other);
    site.starting_worker(&trust).await?.gives_reason(unsigned).await?;

    address(&mut site, &servers, "127.0.0.1", &trusted);
    site.starting_receiver(&receivers(trust)).await?.gives_reason("is for another host name").await?;
    site.starting_worker(&trust)
        .await?
        .gives_reason("PostgreSQL is not trusted: its certificate is for another host name")
        .await?;

    let plain = site.addresses.receiver_broker.replace("amqps://", "amqp://");
    site.addresses.receiver_broker = plain;
    site.starting_receiver(&WITHOUT_SPOOL).await?.gives_reason("write amqps:// instead of amqp://").await?;
    site.addresses.worker_database.truncate(site.addresses.worker_database.find('?').unwrap_or_default());
    site.addresses.worker_database.push_str("?sslmode=disable");
    site.starting_worker(&trust).await?.gives_reason("no encryption").await?;
    Ok(())
}
