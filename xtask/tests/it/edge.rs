//! nginx/templates/apollo.conf.template in the real nginx, in front of a receiver that only remembers.

use std::fs;

use anyhow::Result;
use xtask::stack::{Nginx, NginxOptions, StackFolder};

use crate::client::{Upstream, exchange, log_lines, parse, plain, plain_exchange, request, tls};

struct Edge {
    nginx: Nginx,
    upstream: Upstream,
    _folder: StackFolder,
}

impl Edge {
    fn start() -> Result<Self> {
        let folder = StackFolder::create("edge")?;
        let upstream = Upstream::start()?;
        let nginx = Nginx::start(&folder, &NginxOptions::for_receiver(&upstream.address))?;
        Ok(Self { nginx, upstream, _folder: folder })
    }

    fn status(&self, method: &str, path: &str) -> Result<u16> {
        Ok(tls(&self.nginx.address, method, path, "")?.status)
    }
}

#[test]
fn plain_http_leads_browsers_to_tls_and_refuses_posts() -> Result<()> {
    let edge = Edge::start()?;
    let address = &edge.nginx.address;
    let redirected = plain(address, "GET", "/oauth/garmin/consent?sid=7")?;
    assert_eq!(redirected.status, 301);
    let target = format!("{}/oauth/garmin/consent?sid=7", address.url());
    assert_eq!(redirected.header("location"), Some(target.as_str()));

    let refused = plain(address, "POST", "/api_client/garmin/dailies")?;
    assert_eq!(refused.status, 403);
    refused.problem()?;
    assert!(edge.upstream.requests().is_empty(), "nothing is passed on without TLS");
    Ok(())
}

#[test]
fn only_public_paths_reach_the_receiver() -> Result<()> {
    let edge = Edge::start()?;
    let public = [
        ("GET", "/"),
        ("POST", "/api_client/garmin"),
        ("POST", "/api_client/garmin/dailies"),
        ("POST", "/s3cret/api_client/garmin"),
        ("POST", "/s3cret/api_client/garmin/epochs"),
        ("GET", "/oauth/garmin/consent?sid=1"),
        ("POST", "/oauth/garmin/consent"),
        ("GET", "/oauth/garmin/callback?code=1&state=2"),
        ("GET", "/oauth/garmin/status/0198"),
        ("POST", "/oauth/garmin/deregistration"),
        ("POST", "/oauth/garmin/permissions"),
        ("POST", "/s3cret/oauth/garmin/deregistration"),
        ("POST", "/s3cret/oauth/garmin/permissions"),
        ("GET", "/healthcheck"),
    ];
    for (method, path) in public {
        assert_eq!(edge.status(method, path)?, 200, "{method} {path}");
    }
    let passed: Vec<String> = edge.upstream.requests();
    for ((method, path), head) in public.iter().zip(&passed) {
        assert!(head.starts_with(&format!("{method} {path} HTTP/1.1\r\n")), "{head}");
    }
    assert_eq!(passed.len(), public.len());

    for path in [
        "/metrics",
        "/health/live",
        "/health/ready",
        "/s3cret/metrics",
        "/s3cret/healthcheck",
        "/s3cret/oauth/garmin/consent",
        "/a/b/api_client/garmin/dailies",
        "/api_client/garmin/dailies/more",
        "/oauth/garmin/status",
        "/oauth/garmin/consent/../../../metrics",
        "/api_client/garmin/..%2f..%2fmetrics",
        "/.env",
    ] {
        let answer = tls(&edge.nginx.address, "GET", path, "")?;
        assert_eq!(answer.status, 404, "{path}");
        answer.problem()?;
    }
    assert_eq!(edge.upstream.requests().len(), public.len(), "a refused path was passed on");
    Ok(())
}

#[test]
fn the_receiver_is_told_the_peer_and_not_what_the_client_says() -> Result<()> {
    let edge = Edge::start()?;
    let lies = ["connection: close", "x-forwarded-for: 203.0.113.9", "forwarded: for=203.0.113.9"];
    exchange(&edge.nginx.address, &request("GET", "/healthcheck", &lies, ""))?;
    let head = edge.upstream.requests().concat().to_lowercase();
    assert!(head.contains("\r\nx-forwarded-for: 127.0.0.1\r\n"), "{head}");
    assert!(head.contains("\r\nx-forwarded-proto: https\r\n"), "{head}");
    assert!(!head.contains("203.0.113.9"), "{head}");
    Ok(())
}

#[test]
fn the_access_log_is_json_without_queries_and_secrets() -> Result<()> {
    let edge = Edge::start()?;
    for (method, path) in [
        ("POST", "/s3cret/api_client/garmin/epochs"),
        ("POST", "/s3cret/oauth/garmin/permissions"),
        ("POST", "/s3cret/api_client/garmn/misspelt"),
        ("POST", "/s3cret"),
        ("POST", "/api_client/garmin/dailies"),
        ("GET", "/oauth/garmin/callback?code=s3cret&state=s3cret"),
        ("GET", "/oauth/garmin/status/s3cret"),
    ] {
        edge.status(method, path)?;
    }
    plain(&edge.nginx.address, "POST", "/s3cret/api_client/garmin/epochs")?;
    let mut nginx = edge.nginx;
    nginx.stop()?;

    let lines = log_lines(&nginx.access_log())?;
    let paths: Vec<&str> = lines.iter().filter_map(|line| line["path"].as_str()).collect();
    assert_eq!(
        paths,
        [
            "/-/api_client/garmin/epochs",
            "/-/oauth/garmin/permissions",
            "/-/api_client/garmn/misspelt",
            "/-",
            "/api_client/garmin/dailies",
            "/oauth/garmin/callback",
            "/oauth/garmin/status/-",
            "/-/api_client/garmin/epochs",
        ]
    );
    assert_eq!(lines[0]["status"], 200);
    assert_eq!(lines[2]["status"], 404);
    assert_eq!(lines[0]["remote_addr"], "127.0.0.1");
    assert!(!fs::read_to_string(nginx.access_log())?.contains("s3cret"));
    Ok(())
}

#[test]
fn a_receiver_that_is_away_is_a_503_that_says_when_to_come_again_and_nothing_leaks() -> Result<()> {
    let folder = StackFolder::create("edge")?;
    // Port 9 (discard) is served by nobody.
    let mut nginx = Nginx::start(&folder, &NginxOptions::for_receiver("127.0.0.1:9"))?;
    let answer = tls(&nginx.address, "POST", "/s3cret/api_client/garmin/dailies", r#"{"dailies":[]}"#)?;
    assert_eq!(answer.status, 503);
    answer.problem()?;
    assert_eq!(answer.header("retry-after"), Some("10"));
    let for_people = tls(&nginx.address, "GET", "/oauth/garmin/callback?code=s3cret&state=s3cret", "")?;
    assert_eq!(for_people.status, 503);
    for_people.page()?;
    assert!(!answer.head.contains("nginx/"), "the version is told: {}", answer.head);
    nginx.stop()?;
    assert!(!nginx.log_tail().contains("s3cret"), "{}", nginx.log_tail());
    Ok(())
}

#[test]
fn bodies_over_the_limit_are_refused_without_being_read() -> Result<()> {
    let edge = Edge::start()?;
    let announced = |path: &str, bytes: u64| -> Result<u16> {
        let length = format!("content-length: {bytes}");
        let text = request("POST", path, &["connection: close", &length], "");
        let answer = parse(&exchange(&edge.nginx.address, &text)?)?;
        answer.problem()?;
        Ok(answer.status)
    };
    assert_eq!(announced("/api_client/garmin/epochs", 100 * 1024 * 1024 + 1)?, 413);
    assert_eq!(announced("/oauth/garmin/consent", 20_000)?, 413);
    assert!(edge.upstream.requests().is_empty());

    let large = "x".repeat(20 * 1024 * 1024);
    let answer = tls(&edge.nginx.address, "POST", "/api_client/garmin/epochs", &large)?;
    assert_eq!(answer.status, 200, "{answer:?}");
    Ok(())
}

#[test]
fn an_allow_list_is_for_garmin_s_posts_only_and_is_read_again_on_reload() -> Result<()> {
    let folder = StackFolder::create("edge")?;
    let upstream = Upstream::start()?;
    let garmin_allow = folder.path().join("allow.conf");
    fs::write(&garmin_allow, "allow 192.0.2.1;\ndeny all;\n")?;
    let options =
        NginxOptions { garmin_allow: garmin_allow.clone(), ..NginxOptions::for_receiver(&upstream.address) };
    let nginx = Nginx::start(&folder, &options)?;
    for path in ["/api_client/garmin/dailies", "/s3cret/oauth/garmin/deregistration"] {
        let refused = tls(&nginx.address, "POST", path, "")?;
        assert_eq!(refused.status, 403, "{path}");
        refused.problem()?;
    }
    assert_eq!(tls(&nginx.address, "GET", "/oauth/garmin/consent", "")?.status, 200);

    fs::write(&garmin_allow, "allow 127.0.0.1;\ndeny all;\n")?;
    nginx.reload();
    let allowed = || anyhow::Ok(tls(&nginx.address, "POST", "/api_client/garmin/dailies", "")?.status == 200);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !allowed()? {
        anyhow::ensure!(std::time::Instant::now() < deadline, "the new list is not obeyed");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    Ok(())
}

#[test]
fn pages_have_a_rate_limit_and_garmin_s_posts_have_none() -> Result<()> {
    const REQUESTS: usize = 400;
    let edge = Edge::start()?;
    let statuses = |method: &str, path: &str| -> Result<(usize, usize)> {
        let mut all = request(method, path, &[], "x").repeat(REQUESTS - 1);
        all.push_str(&request(method, path, &["connection: close"], "x"));
        let answers = exchange(&edge.nginx.address, &all)?;
        let count = |status| answers.matches(&format!("HTTP/1.1 {status} ")).count();
        Ok((count("200"), count("429")))
    };
    let (passed, limited) = statuses("POST", "/oauth/garmin/consent")?;
    assert_eq!(passed + limited, REQUESTS);
    assert!(passed >= 100, "a class behind one address must get through: {passed}");
    assert!(limited > 0, "pages are not limited");
    let (told, _) = statuses("GET", "/oauth/garmin/status/0198")?;
    assert!(told >= 200, "who waits for an outcome must be told while others fill in the form: {told}");
    assert_eq!(statuses("POST", "/s3cret/api_client/garmin/epochs")?, (REQUESTS, 0));

    let answer = tls(&edge.nginx.address, "GET", "/oauth/garmin/consent", "")?;
    if answer.status == 429 {
        answer.page()?;
        assert_eq!(answer.header("retry-after"), Some("5"));
    }
    Ok(())
}

#[test]
fn what_is_no_request_gets_a_problem_document_too() -> Result<()> {
    let edge = Edge::start()?;
    let address = &edge.nginx.address;
    for (bytes, status) in [
        ("hello\r\n\r\n".to_owned(), 400),
        (request("GET", "/", &["connection: close", "host: another"], ""), 400),
        (request("TRACE", "/", &["connection: close"], ""), 405),
        (request("GET", &format!("/{}", "a".repeat(9000)), &["connection: close"], ""), 414),
        (request("GET", "/", &["connection: close", &format!("x-long: {}", "a".repeat(9000))], ""), 431),
        (request("POST", "/", &["connection: close", "transfer-encoding: gzip"], ""), 501),
        ("GET / HTTP/2.0\r\n\r\n".to_owned(), 505),
    ] {
        for answer in [parse(&exchange(address, &bytes)?)?, plain_exchange(address.http_port, &bytes)?] {
            assert_eq!(answer.status, status, "{bytes:?}: {answer:?}");
            answer.problem()?;
        }
    }
    let without_tls =
        plain_exchange(address.https_port, &request("POST", "/s3cret/api_client/garmin", &[], ""))?;
    assert_eq!(without_tls.status, 400);
    without_tls.problem()?;
    assert!(edge.upstream.requests().is_empty());
    Ok(())
}

/// Posts so often that each of two receivers has its turn.
fn post_to_both(nginx: &Nginx) -> Result<()> {
    for _ in 0..4 {
        assert_eq!(post(nginx)?, 200);
    }
    Ok(())
}

#[test]
fn what_one_receiver_does_not_take_goes_to_the_other() -> Result<()> {
    let folder = StackFolder::create("edge")?;
    let (full, good) = (Upstream::answering("503 Service Unavailable")?, Upstream::start()?);
    // Port 9 (discard) is served by nobody.
    for bad in [&full.address, "127.0.0.1:9"] {
        let receivers = [bad.to_owned(), good.address.clone()];
        post_to_both(&Nginx::start(&folder, &NginxOptions::for_receivers(receivers))?)?;
    }
    assert!(!full.requests().is_empty(), "only one was asked");
    assert_eq!(good.requests().len(), 8);
    Ok(())
}

#[test]
fn a_receiver_that_is_frozen_is_given_up_for_the_other() -> Result<()> {
    let folder = StackFolder::create("edge")?;
    // Connections wait in its queue for ever, as with a process that is stopped.
    let frozen = std::net::TcpListener::bind("127.0.0.1:0")?;
    let good = Upstream::start()?;
    let receivers = [frozen.local_addr()?.to_string(), good.address.clone()];
    let nginx = Nginx::start(&folder, &NginxOptions::for_receivers(receivers))?;
    std::thread::scope(|scope| {
        let posts = [(); 2].map(|()| scope.spawn(|| post(&nginx)));
        for post in posts {
            assert_eq!(post.join().unwrap().unwrap(), 200);
        }
    });
    assert_eq!(good.requests().len(), 2);
    Ok(())
}

fn post(nginx: &Nginx) -> Result<u16> {
    Ok(tls(&nginx.address, "POST", "/s3cret/api_client/garmin/dailies", "{}")?.status)
}
