//! The declaration's `registry:` block.

use std::collections::BTreeMap;

use swarm_yaml::Cursor;

use crate::declaration::RegistryConfig;
use crate::declaration_reader::{non_empty, read_parameters};

pub(crate) fn read_registry(at: &Cursor<'_>) -> Option<RegistryConfig> {
    let [url, site_id, image_root, director_root, certificate, key, ca, parameters] = at.fields([
        "url",
        "site_id",
        "image_root",
        "director_root",
        "certificate",
        "key",
        "ca",
        "parameters",
    ])?;
    let path = |at: &Cursor<'_>| non_empty(at, "a path");
    let url = url.required("the registry's address", |at| {
        at.text_that(is_address, "https://HOST, or http://localhost")
    });
    let site_id = site_id.required("the cell's name in the registry", |at| {
        at.text_that(
            is_site_id,
            "a name of letters, digits, '.', '_' and '-', at most 64, a letter or digit first",
        )
    });
    let image_root = image_root.required("the pinned root of the image repository", path);
    let director_root = director_root.required("the pinned root of the director", path);
    let certificate = certificate.optional(None, |at| path(at).map(Some));
    let key = key.optional(None, |at| match (&certificate, path(at)?) {
        (Some(None), _) => at.wrong("there is no certificate that it belongs to"),
        (_, key) => Some(Some(key)),
    });
    if let (Some(Some(_)), Some(None)) = (&certificate, &key) {
        at.note("the certificate needs its key".to_owned());
    }
    let ca = ca.optional(None, |at| path(at).map(Some));
    let parameters = parameters.optional(BTreeMap::new(), read_parameters);
    Some(RegistryConfig {
        url: url?,
        site_id: site_id?,
        image_root: image_root?,
        director_root: director_root?,
        certificate: certificate?,
        key: key?,
        ca: ca?,
        parameters: parameters?,
    })
}

fn is_address(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    host.is_some_and(|host| host.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '['))
}

/// As the registry takes them.
fn is_site_id(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use swarm_yaml::Mistakes;

    use super::*;

    fn read(text: &str) -> Result<RegistryConfig, Mistakes> {
        swarm_yaml::read(text, read_registry)
    }

    const GOOD: &str = "url: https://registry.example.com\nsite_id: cell-7\nimage_root: /etc/swarm/image_root.json\n\
                        director_root: /etc/swarm/director_root.json\n";

    #[test]
    fn a_registry_needs_an_address_a_name_and_two_roots() {
        let registry = read(GOOD).unwrap();
        assert_eq!(
            (registry.url.as_str(), registry.site_id.as_str()),
            ("https://registry.example.com", "cell-7")
        );
        assert_eq!((registry.certificate, registry.parameters.len()), (None, 0));
        let mistakes = read("url: registry\nsite_id: ../x\n").unwrap_err().to_string();
        for field in ["url", "site_id", "image_root", "director_root"] {
            assert!(mistakes.contains(field), "{field} in {mistakes}");
        }
    }

    #[test]
    fn a_certificate_and_its_key_come_together() {
        let both =
            read(&format!("{GOOD}certificate: c.pem\nkey: k.pem\nparameters: {{utc_offset: '+01:00'}}\n"))
                .unwrap();
        assert_eq!((both.certificate.as_deref(), both.key.as_deref()), (Some("c.pem"), Some("k.pem")));
        assert_eq!(both.parameters["utc_offset"], "+01:00");
        for (half, problem) in [("certificate: c.pem", "needs its key"), ("key: k.pem", "no certificate")] {
            let mistakes = read(&format!("{GOOD}{half}\n")).unwrap_err().to_string();
            assert!(mistakes.contains(problem), "{mistakes}");
        }
    }
}
