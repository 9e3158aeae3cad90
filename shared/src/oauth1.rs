//! OAuth 1.0a signatures (RFC 5849) with HMAC-SHA1, the only method that Garmin takes. The only place that knows the
//! crate `oauth1-request`.

use crate::garmin::Consumer;
use oauth1_request::{Builder, Credentials, HMAC_SHA1, HmacSha1, ParameterList};
use reqwest::{Method, Url};
use secrecy::ExposeSecret as _;

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
    sign(builder(consumer, signed), method, url, signed.form)
}

type Signer<'a> = Builder<'a, HmacSha1, &'a str>;

fn builder<'a>(consumer: &'a Consumer, signed: &Signed<'a>) -> Signer<'a> {
    let mut builder =
        Signer::new(Credentials::new(consumer.key.as_str(), consumer.secret.expose_secret()), HMAC_SHA1);
    builder.token(signed.token.map(|pair| Credentials::new(pair.token, pair.secret)));
    builder.callback(signed.callback).verifier(signed.verifier).version(true);
    builder
}

fn sign(builder: Signer<'_>, method: &Method, url: &Url, form: &[(&str, &str)]) -> String {
    let mut parameters: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    parameters.extend(form.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    // RFC 5849, 3.4.1.2: the address without its query.
    let mut address = url.clone();
    address.set_query(None);
    address.set_fragment(None);
    builder.into_authorization(method.as_str(), address.as_str(), &ParameterList::new(parameters))
}
