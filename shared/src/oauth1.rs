//! OAuth 1.0a signatures (RFC 5849) with HMAC-SHA1, the only method that Garmin takes. The only place that knows the
//! crate `oauth1-request`.
//!
//! That crate signs the names of parameters unencoded and sorts parameters before it encodes them, so it signs wrongly
//! what has other names or values than plain ones. Here they are encoded and sorted as the RFC says.

use crate::garmin::Consumer;
use oauth1_request::serializer::Serializer;
use oauth1_request::{Builder, Credentials, HMAC_SHA1, HmacSha1, Request};
use reqwest::{Method, Url};
use secrecy::ExposeSecret as _;
use std::fmt::Write as _;

/// A token and its secret: a request token or an access token.
#[derive(Clone, Copy)]
pub struct TokenPair<'a> {
    /// The token.
    pub token: &'a str,
    /// Its secret.
    pub secret: &'a str,
}

/// What is signed beside the method and the address, whose query is part of what is signed.
#[derive(Clone, Copy, Default)]
pub struct Signed<'a> {
    /// On whose behalf.
    pub token: Option<TokenPair<'a>>,
    /// Where the participant comes back to; for a request token.
    pub callback: Option<&'a str>,
    /// What the participant brought back; for an access token.
    pub verifier: Option<&'a str>,
    /// The fields of a form in the body.
    pub form: &'a [(&'a str, &'a str)],
}

/// The value of the header `Authorization` for one request. It is good for that request only.
#[must_use]
pub fn authorization(consumer: &Consumer, method: &Method, url: &Url, signed: &Signed<'_>) -> String {
    let mut builder = builder(consumer, signed);
    builder.version(true);
    sign(builder, method, url, signed.form)
}

type Signer<'a> = Builder<'a, HmacSha1, &'a str>;

fn builder<'a>(consumer: &'a Consumer, signed: &Signed<'a>) -> Signer<'a> {
    let mut builder =
        Signer::new(Credentials::new(consumer.key.as_str(), consumer.secret.expose_secret()), HMAC_SHA1);
    builder.token(signed.token.map(|pair| Credentials::new(pair.token, pair.secret)));
    builder.callback(signed.callback).verifier(signed.verifier);
    builder
}

fn sign(builder: Signer<'_>, method: &Method, url: &Url, form: &[(&str, &str)]) -> String {
    // RFC 5849, 3.4.1.2: the address without its query.
    let mut address = url.clone();
    address.set_query(None);
    address.set_fragment(None);
    builder.into_authorization(method.as_str(), address.as_str(), &Parameters::of(url, form))
}

/// The parameters of a request's address and form, in the order in which they are signed (RFC 5849, 3.4.1.3.2).
struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn of(url: &Url, form: &[(&str, &str)]) -> Self {
        let in_query = url.query_pairs().map(|(name, value)| (encode(&name), encode(&value)));
        let in_form = form.iter().map(|(name, value)| (encode(name), encode(value)));
        let mut encoded: Vec<(String, String)> = in_query.chain(in_form).collect();
        encoded.sort_unstable();
        Self(encoded)
    }
}

/// One of OAuth's own parameters, and what signs it and puts it into the header.
type ProtocolParameter<S> = (&'static str, fn(&mut S));

impl Request for Parameters {
    fn serialize<S: Serializer>(&self, mut serializer: S) -> S::Output {
        let protocol: [ProtocolParameter<S>; 8] = [
            ("oauth_callback", S::serialize_oauth_callback),
            ("oauth_consumer_key", S::serialize_oauth_consumer_key),
            ("oauth_nonce", S::serialize_oauth_nonce),
            ("oauth_signature_method", S::serialize_oauth_signature_method),
            ("oauth_timestamp", S::serialize_oauth_timestamp),
            ("oauth_token", S::serialize_oauth_token),
            ("oauth_verifier", S::serialize_oauth_verifier),
            ("oauth_version", S::serialize_oauth_version),
        ];
        let mut protocol = protocol.into_iter().peekable();
        for (name, value) in &self.0 {
            while let Some((_, add)) = protocol.next_if(|(before, _)| *before < name.as_str()) {
                add(&mut serializer);
            }
            // Of the two encodings that a name and a value need, the serializer does the second, and of values only.
            serializer.serialize_parameter_encoded(&encode(name), value);
        }
        for (_, add) in protocol {
            add(&mut serializer);
        }
        serializer.end()
    }
}

/// Percent encoding of all but the unreserved characters (RFC 5849, 3.6).
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(byte.into());
        } else {
            // Writing into a string does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests;
