//! A certificate for `localhost` and the authority that signs it, made by openssl for one stack.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;

use super::{StackFolder, packages, process::Program};

const LIMIT: Duration = Duration::from_secs(30);

/// Given instead of the machine's own openssl.cnf, whose defaults differ. Clients refuse a server that is its own
/// authority, so there are two certificates.
const CONFIGURATION: &str = "\
[req]
prompt = no
distinguished_name = name
[name]
CN = Apollo, private stack
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost, IP:127.0.0.1
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
";

/// PEM files.
pub(crate) struct Certificate {
    pub(crate) authority: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// Makes both certificates in `folder`; they are good for 30 days.
pub(crate) fn make(stack: &StackFolder, folder: &Path) -> Result<Certificate> {
    fs::write(folder.join("openssl.cnf"), CONFIGURATION)?;
    let request = [
        "req",
        "-x509",
        "-config",
        "openssl.cnf",
        "-days",
        "30",
        "-nodes",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
    ];
    let authority =
        ["-extensions", "authority", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Apollo private CA"];
    let server = [
        "-extensions",
        "server",
        "-keyout",
        "server.key",
        "-out",
        "server.pem",
        "-subj",
        "/CN=localhost",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
    ];
    for certificate in [&authority[..], &server[..]] {
        Program::new("openssl", packages::find("openssl")?)
            .args(request)
            .args(certificate)
            .folder(folder)
            .run(stack, LIMIT)?;
    }
    Ok(Certificate {
        authority: folder.join("ca.pem"),
        certificate: folder.join("server.pem"),
        key: folder.join("server.key"),
    })
}
