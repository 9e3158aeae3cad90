//! OAuth 1.0a signatures (RFC 5849, section 3) from the verifying side, written for this crate so that the signing
//! side is not checked by itself.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha1::Sha1;

/// All but the unreserved characters is encoded (RFC 5849, 3.6).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub(super) fn percent_encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// The parameters of an `Authorization` header (RFC 5849, 3.5.1), or nothing if it is not one of OAuth 1.0a.
pub(super) fn parse_authorization(header: &str) -> Option<Vec<(String, String)>> {
    let (scheme, parameters) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("OAuth") {
        return None;
    }
    parameters.split(',').map(parse_parameter).collect()
}

fn parse_parameter(text: &str) -> Option<(String, String)> {
    let (name, value) = text.trim().split_once('=')?;
    let value = value.strip_prefix('"')?.strip_suffix('"')?;
    let decode = |text| percent_decode_str(text).decode_utf8().ok().map(String::from);
    Some((decode(name)?, decode(value)?))
}

/// What is signed (RFC 5849, 3.4.1). The parameters are those of the query, of a form in the body, and of the header;
/// `realm` and `oauth_signature` are not counted.
pub(super) fn base_string<'a>(
    method: &str,
    base_uri: &str,
    parameters: impl Iterator<Item = &'a (String, String)>,
) -> String {
    let mut encoded: Vec<(String, String)> = parameters
        .filter(|(name, _)| name != "realm" && name != "oauth_signature")
        .map(|(name, value)| (percent_encode(name), percent_encode(value)))
        .collect();
    encoded.sort();
    let pairs: Vec<String> = encoded.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let parts = [method.to_ascii_uppercase().as_str(), base_uri, &pairs.join("&")].map(percent_encode);
    parts.join("&")
}

/// Whether the owner of both secrets has signed `base_string` with HMAC-SHA1 (RFC 5849, 3.4.2). The token's secret is
/// empty where there is no token yet.
pub(super) fn is_signed(
    base_string: &str,
    signature: &str,
    consumer_secret: &str,
    token_secret: &str,
) -> bool {
    STANDARD.decode(signature).is_ok_and(|signature| {
        keyed(base_string, consumer_secret, token_secret)
            .is_some_and(|mac| mac.verify_slice(&signature).is_ok())
    })
}

/// HMAC takes keys of every length, so there always is one.
fn keyed(base_string: &str, consumer_secret: &str, token_secret: &str) -> Option<Hmac<Sha1>> {
    let key = format!("{}&{}", percent_encode(consumer_secret), percent_encode(token_secret));
    let mac = Hmac::<Sha1>::new_from_slice(key.as_bytes()).ok()?;
    Some(mac.chain_update(base_string))
}

#[cfg(test)]
pub(super) fn sign(base_string: &str, consumer_secret: &str, token_secret: &str) -> String {
    STANDARD.encode(keyed(base_string, consumer_secret, token_secret).unwrap().finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
        of.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    /// Whether the header's signature holds for a request with these other parameters.
    fn holds(request: (&str, &str), others: &[(&str, &str)], header: &str, secrets: (&str, &str)) -> bool {
        let header = parse_authorization(header).unwrap();
        let signature = header.iter().find(|(name, _)| name == "oauth_signature").unwrap().1.clone();
        let base_string = base_string(request.0, request.1, header.iter().chain(&pairs(others)));
        is_signed(&base_string, &signature, secrets.0, secrets.1)
    }

    #[test]
    fn the_base_string_is_that_of_rfc_5849_section_3_4_1_1() {
        let header = r#"OAuth realm="Example",
            oauth_consumer_key="9djdj82h48djs9d2",
            oauth_token="kkk9d7dh3k39sjv7",
            oauth_signature_method="HMAC-SHA1",
            oauth_timestamp="137131201",
            oauth_nonce="7d8f3e4a",
            oauth_signature="bYT5CMsGcbgUdFHObYMEfcx6bsw%3D""#;
        let mut parameters = parse_authorization(header).unwrap();
        parameters.extend(pairs(&[("b5", "=%3D"), ("a3", "a"), ("c@", ""), ("a2", "r b")]));
        parameters.extend(pairs(&[("c2", ""), ("a3", "2 q")]));
        assert_eq!(
            base_string("POST", "http://example.com/request", parameters.iter()),
            "POST&http%3A%2F%2Fexample.com%2Frequest&a2%3Dr%2520b%26a3%3D2%2520q%26a3%3Da%26b5%3D%253D%25253D\
             %26c%2540%3D%26c2%3D%26oauth_consumer_key%3D9djdj82h48djs9d2%26oauth_nonce%3D7d8f3e4a\
             %26oauth_signature_method%3DHMAC-SHA1%26oauth_timestamp%3D137131201%26oauth_token%3Dkkk9d7dh3k39sjv7"
        );
    }

    #[test]
    fn the_signatures_of_rfc_5849_section_1_2_hold() {
        let initiate = r#"OAuth realm="Photos",
            oauth_consumer_key="dpf43f3p2l4k3l03",
            oauth_signature_method="HMAC-SHA1",
            oauth_timestamp="137131200",
            oauth_nonce="wIjqoS",
            oauth_callback="http%3A%2F%2Fprinter.example.com%2Fready",
            oauth_signature="74KNZJeDHnMBp0EMJ9ZHt%2FXKycU%3D""#;
        let consumer_secret = "kd94hf93k423kf44";
        assert!(holds(("POST", "https://photos.example.net/initiate"), &[], initiate, (consumer_secret, "")));

        let token = r#"OAuth realm="Photos",
            oauth_consumer_key="dpf43f3p2l4k3l03",
            oauth_token="hh5s93j4hdidpola",
            oauth_signature_method="HMAC-SHA1",
            oauth_timestamp="137131201",
            oauth_nonce="walatlh",
            oauth_verifier="hfdp7dh39dks9884",
            oauth_signature="gKgrFCywp7rO0OXSjdot%2FIHF7IU%3D""#;
        let secrets = (consumer_secret, "hdhd0244k9j7ao03");
        assert!(holds(("POST", "https://photos.example.net/token"), &[], token, secrets));

        let photos = r#"OAuth realm="Photos",
            oauth_consumer_key="dpf43f3p2l4k3l03",
            oauth_token="nnch734d00sl2jdk",
            oauth_signature_method="HMAC-SHA1",
            oauth_timestamp="137131202",
            oauth_nonce="chapoH",
            oauth_signature="MdpQcU8iPSUjWoN%2FUDMsK2sui9I%3D""#;
        let (request, secrets) =
            (("GET", "http://photos.example.net/photos"), (consumer_secret, "pfkkdhi9sl3r4s00"));
        assert!(holds(request, &[("file", "vacation.jpg"), ("size", "original")], photos, secrets));
        assert!(!holds(request, &[("file", "vacation.jpg"), ("size", "small")], photos, secrets));
        assert!(!holds(
            ("POST", request.1),
            &[("file", "vacation.jpg"), ("size", "original")],
            photos,
            secrets
        ));
    }

    #[test]
    fn the_signature_of_twitters_guide_holds() {
        let header = r#"OAuth oauth_consumer_key="xvz1evFS4wEEPTGEFPHBog",
            oauth_nonce="kYjzVBB8Y0ZFabxSWbWovY3uYSQ2pTgmZeNu2VS4cg",
            oauth_signature="hCtSmYh%2BiHYCEqBWrE7C7hYmtUk%3D",
            oauth_signature_method="HMAC-SHA1",
            oauth_timestamp="1318622958",
            oauth_token="370773112-GmHxMAgYyLbNEtIKZeRNFsMKPR9EyMZeS9weJAEb",
            oauth_version="1.0""#;
        let others =
            [("include_entities", "true"), ("status", "Hello Ladies + Gentlemen, a signed OAuth request!")];
        let secrets =
            ("kAcSOqF21Fu85e7zjz7ZN2U4ZRhfV3WpwPAoE3Z7kBw", "LswwdoUaIvS8ltyTt5jkRh4J50vUPVVHtR2YPi5kE");
        let request = ("POST", "https://api.twitter.com/1.1/statuses/update.json");
        assert!(holds(request, &others, header, secrets));
        assert!(!holds(request, &others, header, (secrets.0, "another")));
    }

    #[test]
    fn what_is_no_oauth_header_is_not_read_as_one() {
        for header in ["Bearer abc", "OAuth", "OAuth a=b", r#"OAuth a="b", c"#, r#"OAuth a="%ff""#] {
            assert_eq!(parse_authorization(header), None, "{header}");
        }
    }
}
