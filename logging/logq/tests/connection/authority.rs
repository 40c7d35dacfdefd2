//! Test certificates, and servers that use them.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use rcgen::CertificateParams;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use test_support::tls::{self, Certificate};

use crate::peer::{answer, serve, serve_one};

/// An authority with one server certificate and one client certificate, as PEM files.
pub struct TestCertificates {
    folder: tempfile::TempDir,
    authority: tls::Authority,
}

impl TestCertificates {
    pub fn new() -> Self {
        let authority = tls::Authority::new("the tests");
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
        let this = Self { folder, authority };
        this.certify("server", &["127.0.0.1"], |_| {});
        this.certify("elsewhere", &["search.example"], |_| {});
        this.certify("expired", &["127.0.0.1"], |params| {
            params.not_before = rcgen::date_time_ymd(2001, 1, 1);
            params.not_after = rcgen::date_time_ymd(2002, 1, 1);
        });
        this.certify("client", &["logq"], |_| {});
        this
    }

    fn certify(&self, name: &str, names: &[&str], change: impl FnOnce(&mut CertificateParams)) {
        let Certificate { certificate, key } = self.authority.certify_with(names, change);
        for (extension, pem) in [("pem", certificate), ("key", key)] {
            fs::write(self.folder.path().join(format!("{name}.{extension}")), pem).unwrap();
        }
    }

    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn read(&self, name: &str) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        (
            CertificateDer::from_pem_file(Path::new(&self.path(&format!("{name}.pem")))).unwrap(),
            PrivateKeyDer::from_pem_file(Path::new(&self.path(&format!("{name}.key")))).unwrap(),
        )
    }

    /// A server with this certificate, which may require a client certificate.
    pub fn server(&self, name: &str, wants_client: bool) -> (String, Receiver<String>) {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap();
        let (certificate, key) = self.read(name);
        let builder = if wants_client {
            let mut roots = RootCertStore::empty();
            roots
                .add(CertificateDer::from_pem_file(Path::new(&self.path("ca.pem"))).unwrap())
                .unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .unwrap();
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        let config = Arc::new(builder.with_single_cert(vec![certificate], key).unwrap());
        let (port, requests) = serve(move |stream| {
            let connection = ServerConnection::new(config.clone()).unwrap();
            serve_one(&mut StreamOwned::new(connection, stream), &answer(200, "{}"))
        });
        (format!("https://127.0.0.1:{port}"), requests)
    }
}
