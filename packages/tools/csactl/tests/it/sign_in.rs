//! Who asks: tokens and certificates made here, and believed by a registry.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::common::{Csactl, Registry, Setup, artifact, text};
use swarm_registry::serve::{SiteFiles, Tls};

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// A token for this role, in a file.
fn token(csactl: &Csactl, folder: &Path, role: &str) -> std::path::PathBuf {
    let key = folder.join("keys/ops-2027.pem");
    let arguments = ["token", "issue", "--key", text(&key), "--subject", "ada", "--role", role];
    let path = folder.join(format!("{role}.token"));
    std::fs::write(&path, csactl.run(&arguments).expect(0).stdout).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

fn with_token_keys(folder: &Path) -> (Registry, Csactl) {
    let (keys, file) = (folder.join("keys"), folder.join("token_keys.yaml"));
    let nobody = Csactl::at("http://127.0.0.1:1");
    let make = |id: &str, role: &str| {
        let arguments =
            ["token", "key", "--id", id, "--role", role, "--role", "auditor", "--out", text(&keys)];
        nobody.run(&[&arguments[..], &["--token-keys", text(&file)]].concat())
    };
    make("ops-2027", "engineer").expect(0);
    make("ops-2028", "operator").expect(0);
    make("ops-2028", "operator").says(2, &["a key 'ops-2028' already"]);
    assert_eq!(mode(&keys.join("ops-2027.pem")), 0o600);
    let setup = Setup { token_keys: Some(file), ..Setup::local(&folder.join("data")) };
    let registry = setup.start();
    let csactl = Csactl::at(&registry.address);
    (registry, csactl)
}

#[test]
fn a_token_says_who_asks_and_a_role_is_held_to() {
    let folder = tempfile::tempdir().unwrap();
    let (registry, nobody) = with_token_keys(folder.path());
    let engineer = token(&nobody, folder.path(), "engineer");
    let auditor = token(&nobody, folder.path(), "auditor");
    nobody.run(&["list"]).says(1, &["401"]);
    let as_engineer = Csactl::at(&registry.address).with("CSACTL_TOKEN_FILE", text(&engineer));
    as_engineer.run(&["upload", text(&artifact(folder.path(), "1.0.0"))]).says(0, &["by ada"]);
    let by_variable =
        Csactl::at(&registry.address).with("CSACTL_TOKEN", std::fs::read_to_string(&auditor).unwrap());
    by_variable.run(&["audit", "verify"]).says(0, &["intact: 1 entries"]);
    by_variable.run(&["list"]).says(1, &["403"]);
    as_engineer.run(&["audit", "list"]).says(1, &["403"]);
    // A role that the key may not give.
    let admin = token(&nobody, folder.path(), "admin");
    Csactl::at(&registry.address)
        .with("CSACTL_TOKEN_FILE", text(&admin))
        .run(&["list"])
        .says(1, &["401", "role"]);
}

#[test]
fn a_token_that_others_can_read_is_not_used_and_none_is_sent_unencrypted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "a.b.c").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    Csactl::at("http://127.0.0.1:1")
        .run(&["list", "--token-file", text(&path)])
        .says(2, &["mode 0644", "chmod 600"]);
    let ended = Csactl::at("http://192.0.2.1").with("CSACTL_TOKEN", "a.b.c").run(&["list"]);
    ended.says(2, &["unencrypted", "https://"]);
}

#[test]
fn certificates_made_here_are_those_of_a_registry_and_of_a_site() {
    let folder = tempfile::tempdir().unwrap();
    let (ca, out) = (folder.path().join("ca"), folder.path().join("certificates"));
    let nobody = Csactl::at("http://127.0.0.1:1");
    nobody.run(&["ca", "init", "--out", text(&ca)]).expect(0);
    nobody.run(&["ca", "init", "--out", text(&ca)]).says(2, &["not overwritten"]);
    let issue = ["--ca", text(&ca), "--out", text(&out)];
    nobody.run(&[&["ca", "server", "127.0.0.1", "registry.example.com"][..], &issue].concat()).expect(0);
    nobody.run(&[&["ca", "site", "cell-7"][..], &issue].concat()).expect(0);
    for (path, expected) in [
        (ca.join("ca.key"), 0o400),
        (ca.join("ca.pem"), 0o444),
        (out.join("cell-7.key"), 0o400),
        (out.join("cell-7.pem"), 0o444),
    ] {
        assert_eq!(mode(&path), expected, "{}", path.display());
    }
    let certificate = out.join("127.0.0.1.pem");
    let (list, authority) = (ca.join("crl.pem"), ca.join("ca.pem"));
    let read = || {
        let sites = SiteFiles { ca: &authority, crl: Some(&list) };
        Tls::read(&certificate, &out.join("127.0.0.1.key"), Some(sites)).unwrap()
    };
    let tls = read();
    let keys = with_token_keys(folder.path());
    drop(keys);
    let setup = Setup {
        tls: Some(tls.clone()),
        token_keys: Some(folder.path().join("token_keys.yaml")),
        ..Setup::local(&folder.path().join("data"))
    };
    let registry = setup.start();

    let (site_certificate, key) = (out.join("cell-7.pem"), out.join("cell-7.key"));
    let site = Csactl::at(&registry.address)
        .with("CSACTL_CA", text(&authority))
        .with("CSACTL_CERTIFICATE", text(&site_certificate))
        .with("CSACTL_CERTIFICATE_KEY", text(&key));
    site.run(&["upload", text(&artifact(folder.path(), "1.0.0"))]).says(0, &["by cell-7"]);
    site.run(&["quarantine", "1", "--reason", "x"]).says(1, &["403"]);
    // Without a certificate nobody is signed in; without the authority nobody is spoken to.
    Csactl::at(&registry.address).with("CSACTL_CA", text(&authority)).run(&["list"]).says(1, &["401"]);
    Csactl::at(&registry.address).run(&["list"]).says(2, &["got no answer", "--registry-ca"]);

    let revoke = |certificate: &Path| {
        let reason = ["--ca", text(&ca), "--reason", "key-compromise"];
        nobody.run(&[&["ca", "revoke", text(certificate)][..], &reason].concat())
    };
    revoke(&folder.path().join("token_keys.yaml")).says(2, &["holds nothing in PEM"]);
    revoke(&list).says(2, &["holds a X509 CRL, expected a CERTIFICATE"]);
    let stranger = folder.path().join("stranger");
    nobody.run(&["ca", "init", "--name", "others", "--out", text(&stranger)]).expect(0);
    revoke(&stranger.join("ca.pem")).says(2, &["CN=others", "CN=swarm sites", "nothing was revoked"]);
    nobody.run(&[&["ca", "site", "cell-8"][..], &issue].concat()).expect(0);
    let before = std::fs::read(&list).unwrap();
    revoke(&site_certificate).says(0, &["CN=cell-7", "number 2, 1 in all", "SIGHUP"]);
    revoke(&site_certificate).says(0, &["revoked before", "number 2, 1 in all"]);
    assert_ne!(std::fs::read(&list).unwrap(), before);
    // The registry has not read it yet.
    site.run(&["list"]).says(0, &["1.0.0"]);
    tls.exchange(&read());
    site.run(&["list"]).says(2, &["got no answer", "CertificateRevoked"]);
    let other = Csactl::at(&registry.address)
        .with("CSACTL_CA", text(&authority))
        .with("CSACTL_CERTIFICATE", text(&out.join("cell-8.pem")))
        .with("CSACTL_CERTIFICATE_KEY", text(&out.join("cell-8.key")));
    other.run(&["list"]).says(0, &["1.0.0"]);
    // What was revoked stays so.
    revoke(&out.join("cell-8.pem")).says(0, &["CN=cell-8", "number 3, 2 in all"]);
    tls.exchange(&read());
    for one in [site, other] {
        one.run(&["list"]).says(2, &["got no answer", "CertificateRevoked"]);
    }
}
