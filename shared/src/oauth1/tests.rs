//! Signatures that others have published or computed.

use super::*;
use std::num::NonZeroU64;

/// A request whose nonce and time stamp are given, and its signature as it stands in the header.
struct Vector<'a> {
    consumer: (&'a str, &'a str),
    method: Method,
    url: &'a str,
    signed: Signed<'a>,
    nonce: &'a str,
    timestamp: u64,
    /// Whether `oauth_version` is sent.
    version: bool,
    signature: &'a str,
}

impl Vector<'_> {
    fn header(&self) -> String {
        let consumer = Consumer { key: self.consumer.0.to_owned(), secret: self.consumer.1.into() };
        let mut builder = builder(&consumer, &self.signed);
        builder.version(self.version).nonce(self.nonce).timestamp(NonZeroU64::new(self.timestamp));
        sign(builder, &self.method, &self.url.parse().unwrap(), self.signed.form)
    }

    fn check(&self) {
        let header = self.header();
        let end = format!(",oauth_signature=\"{}\"", self.signature);
        assert!(header.ends_with(&end), "{} {}: {header}", self.method, self.url);
    }
}

fn pair<'a>(token: &'a str, secret: &'a str) -> Option<TokenPair<'a>> {
    Some(TokenPair { token, secret })
}

/// RFC 5849, 1.2: the three requests of the printing service.
#[test]
fn the_example_of_the_rfc() {
    let initiate = Vector {
        consumer: ("dpf43f3p2l4k3l03", "kd94hf93k423kf44"),
        method: Method::POST,
        url: "https://photos.example.net/initiate",
        signed: Signed { callback: Some("http://printer.example.com/ready"), ..Signed::default() },
        nonce: "wIjqoS",
        timestamp: 137_131_200,
        version: false,
        signature: "74KNZJeDHnMBp0EMJ9ZHt%2FXKycU%3D",
    };
    initiate.check();
    Vector {
        url: "https://photos.example.net/token",
        signed: Signed {
            token: pair("hh5s93j4hdidpola", "hdhd0244k9j7ao03"),
            verifier: Some("hfdp7dh39dks9884"),
            ..Signed::default()
        },
        nonce: "walatlh",
        timestamp: 137_131_201,
        signature: "gKgrFCywp7rO0OXSjdot%2FIHF7IU%3D",
        ..initiate
    }
    .check();
    Vector {
        method: Method::GET,
        url: "http://photos.example.net/photos?file=vacation.jpg&size=original",
        signed: Signed { token: pair("nnch734d00sl2jdk", "pfkkdhi9sl3r4s00"), ..Signed::default() },
        nonce: "chapoH",
        timestamp: 137_131_202,
        signature: "MdpQcU8iPSUjWoN%2FUDMsK2sui9I%3D",
        ..initiate
    }
    .check();
}

/// RFC 5849, 3.4.1.1: names that need encoding, a name without a value, one name in query and form. The RFC prints the
/// base string; the secrets and the signature are those of its erratum 2550.
#[test]
fn the_base_string_of_the_rfc() {
    Vector {
        consumer: ("9djdj82h48djs9d2", "j49sk3j29djd"),
        method: Method::POST,
        url: "http://EXAMPLE.COM:80/request?b5=%3D%253D&a3=a&c%40=&a2=r%20b",
        signed: Signed {
            token: pair("kkk9d7dh3k39sjv7", "dh893hdasih9"),
            form: &[("c2", ""), ("a3", "2 q")],
            ..Signed::default()
        },
        nonce: "7d8f3e4a",
        timestamp: 137_131_201,
        version: false,
        signature: "r6%2FTJjbCOr97%2F%2BUU0NsvSne7s5g%3D",
    }
    .check();
}

/// The example of "Creating a signature" in Twitter's documentation.
#[test]
fn the_example_of_twitter() {
    Vector {
        consumer: ("xvz1evFS4wEEPTGEFPHBog", "kAcSOqF21Fu85e7zjz7ZN2U4ZRhfV3WpwPAoE3Z7kBw"),
        method: Method::POST,
        url: "https://api.twitter.com/1/statuses/update.json?include_entities=true",
        signed: Signed {
            token: pair(
                "370773112-GmHxMAgYyLbNEtIKZeRNFsMKPR9EyMZeS9weJAEb",
                "LswwdoUaIvS8ltyTt5jkRh4J50vUPVVHtR2YPi5kE",
            ),
            form: &[("status", "Hello Ladies + Gentlemen, a signed OAuth request!")],
            ..Signed::default()
        },
        nonce: "kYjzVBB8Y0ZFabxSWbWovY3uYSQ2pTgmZeNu2VS4cg",
        timestamp: 1_318_622_958,
        version: true,
        signature: "tnnArxj06cWHq44gCs1OSKk%2FjLY%3D",
    }
    .check();
}

/// What Garmin is sent, and what is odd enough to be signed wrongly. The signatures are those of the Python library
/// oauthlib 4.0.1: `Client(key, client_secret=…, resource_owner_key=…, resource_owner_secret=…, callback_uri=…,
/// verifier=…, nonce="7d8f3e4a", timestamp="1700000000").sign(url, http_method=…, body=…)`.
#[test]
fn another_implementation_agrees() {
    let get = |url, signed, signature| Vector {
        consumer: ("consumer-key", "consumer-secret"),
        method: Method::GET,
        url,
        signed,
        nonce: "7d8f3e4a",
        timestamp: 1_700_000_000,
        version: true,
        signature,
    };
    let post = |url, signed, signature| Vector { method: Method::POST, ..get(url, signed, signature) };
    let token = pair("token", "token-secret");

    // A request token, for a callback with a query; then the access token, with a verifier full of odd characters.
    let callback = Some("https://study.example.org/oauth/garmin/callback?x=%C3%A4%20b");
    post(
        "https://connectapi.garmin.com/oauth-service/oauth/request_token",
        Signed { callback, ..Signed::default() },
        "3F5HB4msYzhkpR2JygEpZ0wBTN4%3D",
    )
    .check();
    post(
        "https://connectapi.garmin.com/oauth-service/oauth/access_token",
        Signed {
            token: pair("request-token", "request-secret"),
            verifier: Some("v/er+if~ier"),
            ..Signed::default()
        },
        "%2FEmlcCqyT8sNf4H34MeahFkcVkQ%3D",
    )
    .check();

    // A query, and secrets that need encoding.
    get(
        "https://apis.garmin.com/wellness-api/rest/backfill/dailies?summaryEndTimeInSeconds=1700086400\
         &summaryStartTimeInSeconds=1700000000",
        Signed { token, ..Signed::default() },
        "OQncLMH63UnPtvNDA6qHiEB%2BHs4%3D",
    )
    .check();
    Vector {
        consumer: ("consumer-key", "consumer secret&/+"),
        ..Vector {
            method: Method::DELETE,
            ..get(
                "https://apis.garmin.com/wellness-api/rest/user/registration",
                Signed { token: pair("token-1", "s=e c/r+e%t"), ..Signed::default() },
                "A%2BgdcoGifrriPsH7KycmCppmum8%3D",
            )
        }
    }
    .check();

    // Secrets that are longer than a block of the hash together.
    let (long, longer) = ("c".repeat(80), "t".repeat(80));
    Vector {
        consumer: ("consumer-key", &long),
        ..get(
            "https://apis.garmin.com/wellness-api/rest/user/id",
            Signed { token: pair("token", &longer), ..Signed::default() },
            "Nkzpet59ohjtD8ahrj7c%2F3d9sCs%3D",
        )
    }
    .check();

    // Spaces written both ways, names out of the ordinary, repeated names whose values sort otherwise when encoded.
    get(
        "https://Example.com:443/a%20b/%C3%BC?name=J%C3%BCrgen%20M%C3%BCller&plus=1%2B1&plus=1+1&plus=\
         &%7Bopen%7D=x&z%20z=%25&a=%7B&a=b&a=B",
        Signed { token: pair("t%C3%B6ken=/+", "säcret"), ..Signed::default() },
        "m6fQ7bfinwh24TSINVjW3hmul4E%3D",
    )
    .check();
    post(
        "https://diauth.garmin.com/oauth?x=1",
        Signed { token, form: &[("b", "2 3"), ("a", "ä&="), ("c@", "")], ..Signed::default() },
        "9OoCzfORT8Fk%2BhaxPQyNuqHQW18%3D",
    )
    .check();
}

#[test]
fn no_two_headers_are_alike() {
    let consumer = Consumer { key: "key".into(), secret: "hush".into() };
    let url = "https://127.0.0.1/".parse().unwrap();
    let header = || authorization(&consumer, &Method::GET, &url, &Signed::default());
    assert!(header().starts_with("OAuth ") && header().contains("oauth_version=\"1.0\""));
    assert_ne!(header(), header());
    assert!(!header().contains("hush"));
}
