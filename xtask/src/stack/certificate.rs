//! Certificates for a stack's servers and the authority that signs them, made by openssl for one stack.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;

use super::{StackFolder, packages, process::Program};

const LIMIT: Duration = Duration::from_secs(30);

/// Given instead of the machine's own openssl.cnf, whose defaults differ. Clients refuse a server that is its own
/// authority, so there are two kinds of certificate.
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
subjectAltName = NAMES
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
";

/// Days for which certificates are good.
const DAYS: i32 = 30;

/// An authority whose certificates clients trust if they are told to.
pub struct Authority {
    stack: StackFolder,
    folder: PathBuf,
}

/// PEM files.
pub struct Certificate {
    /// The certificate of the authority that signed it.
    pub authority: PathBuf,
    /// The certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// A certificate for `localhost` and `127.0.0.1`, of an authority of its own; its files are in `folder`.
pub(crate) fn make(stack: &StackFolder, folder: &Path) -> Result<Certificate> {
    let authority = Authority { stack: stack.clone(), folder: folder.to_owned() };
    authority.prepare()?;
    authority.sign("server", "DNS:localhost, IP:127.0.0.1", DAYS)
}

impl Authority {
    /// A new one; its files are in a folder `name` of the stack's.
    ///
    /// # Errors
    /// openssl fails.
    pub fn new(stack: &StackFolder, name: &str) -> Result<Self> {
        let authority = Self { stack: stack.clone(), folder: stack.subfolder(name)? };
        authority.prepare()?;
        Ok(authority)
    }

    /// Signs a certificate for a host name.
    ///
    /// # Errors
    /// openssl fails.
    pub fn certificate_for(&self, host: &str) -> Result<Certificate> {
        self.sign(host, &format!("DNS:{host}"), DAYS)
    }

    /// Signs a certificate for a host name that ended yesterday.
    ///
    /// # Errors
    /// openssl fails.
    pub fn expired_certificate_for(&self, host: &str) -> Result<Certificate> {
        self.sign(&format!("{host}-expired"), &format!("DNS:{host}"), -1)
    }

    /// The PEM file with its own certificate.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    fn prepare(&self) -> Result<()> {
        fs::write(self.folder.join("authority.cnf"), CONFIGURATION.replace("NAMES", "DNS:unused"))?;
        let own = ["-x509", "-days", "30", "-extensions", "authority", "-out", "ca.pem"];
        self.request("authority.cnf", "ca.key", "/CN=Apollo private CA", &own)
    }

    fn sign(&self, name: &str, alternative_names: &str, days: i32) -> Result<Certificate> {
        let [configuration, key, request, certificate] =
            ["cnf", "key", "csr", "pem"].map(|extension| format!("{name}.{extension}"));
        fs::write(self.folder.join(&configuration), CONFIGURATION.replace("NAMES", alternative_names))?;
        self.request(&configuration, &key, "/CN=Apollo private server", &["-out", &request])?;
        self.openssl(&[
            "x509",
            "-req",
            "-in",
            &request,
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-days",
            &days.to_string(),
            "-extfile",
            &configuration,
            "-extensions",
            "server",
            "-out",
            &certificate,
        ])?;
        Ok(Certificate {
            authority: self.file(),
            certificate: self.folder.join(certificate),
            key: self.folder.join(key),
        })
    }

    /// Makes a key, and what `more` asks for.
    fn request(&self, configuration: &str, key: &str, subject: &str, more: &[&str]) -> Result<()> {
        let of_key = ["-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-keyout", key];
        let request = ["req", "-config", configuration, "-subj", subject];
        self.openssl(&[&request, &of_key[..], more].concat())
    }

    fn openssl(&self, arguments: &[&str]) -> Result<()> {
        Program::new("openssl", packages::find("openssl")?)
            .args(arguments)
            .folder(&self.folder)
            .run(&self.stack, LIMIT)
    }
}

impl Certificate {
    /// Where [`Certificate::install`] puts the authority's certificate, the certificate and its key.
    pub(crate) fn files_in(folder: &Path) -> [PathBuf; 3] {
        ["ca.pem", "server.pem", "server.key"].map(|name| folder.join(name))
    }

    /// Copies the files into a server's folder.
    pub(crate) fn install(&self, folder: &Path) -> Result<()> {
        let files = [&self.authority, &self.certificate, &self.key];
        for (file, place) in files.into_iter().zip(Self::files_in(folder)) {
            fs::copy(file, place)?;
        }
        Ok(())
    }
}
