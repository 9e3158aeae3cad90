//! Why a server is not trusted, in plain words.

use rustls::CertificateError;
use std::io;

/// What is wrong with a server's certificate, to follow its name and "is not trusted:"; none if the error is another.
#[must_use]
pub fn distrust(error: &io::Error) -> Option<&'static str> {
    use CertificateError::{
        BadSignature, Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet,
        NotValidYetContext, UnknownIssuer,
    };
    let rustls::Error::InvalidCertificate(invalid) = of_tls(error)? else {
        return None;
    };
    Some(match invalid {
        Expired | ExpiredContext { .. } => "its certificate has expired",
        NotValidYet | NotValidYetContext { .. } => "its certificate is not valid yet",
        NotValidForName | NotValidForNameContext { .. } => {
            "its certificate is for another host name than the one in its address"
        }
        // The latter if an authority of the same name, but with another key, is trusted.
        UnknownIssuer | BadSignature => "its certificate is not signed by an authority that is trusted here",
        _ => "its certificate is not valid",
    })
}

/// Whether the other side speaks something other than TLS.
#[must_use]
pub fn is_foreign(error: &io::Error) -> bool {
    matches!(of_tls(error), Some(rustls::Error::InvalidMessage(_)))
}

fn of_tls(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}
