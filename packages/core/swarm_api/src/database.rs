//! Where the registry's database is: one reading of the settings for the registry and for whoever backs it up.

use std::fmt::Write as _;
use std::path::Path;

/// The settings as they are given; `password` comes from the environment only.
#[derive(Clone, Copy, Default)]
pub struct DatabaseSettings<'a> {
    /// `DATABASE_URL`, instead of all others.
    pub url: Option<&'a str>,
    pub host: Option<&'a str>,
    pub port: &'a str,
    pub name: Option<&'a str>,
    pub user: Option<&'a str>,
    pub password: Option<&'a str>,
}

impl std::fmt::Debug for DatabaseSettings<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // An address may hold a password.
        f.debug_struct("DatabaseSettings")
            .field("host", &self.host)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl DatabaseSettings<'_> {
    /// The address as it is given, put together from its parts, or that of a SQLite file in the data folder. What is wrong is said
    /// without the password.
    pub fn address(&self, data: &Path) -> Result<String, String> {
        match (self.url, [self.host, self.name, self.user]) {
            (Some(url), [None, None, None]) => Ok(url.to_owned()),
            (None, [None, None, None]) => Ok(format!("sqlite:{}", data.join("registry.db").display())),
            (None, [Some(host), Some(name), Some(user)]) => {
                let port = self.port;
                if port.parse::<u16>().is_err() {
                    return Err(format!("DATABASE_PORT: expected 1 to 65535, found '{port}'"));
                }
                let password =
                    self.password.map(|password| format!(":{}", encoded(password))).unwrap_or_default();
                Ok(format!("postgresql://{}{password}@{host}:{port}/{}", encoded(user), encoded(name)))
            }
            (Some(_), _) => {
                Err("give either this or DATABASE_HOST, DATABASE_NAME and DATABASE_USER, not both".to_owned())
            }
            (None, _) => {
                Err("DATABASE_HOST, DATABASE_NAME and DATABASE_USER need each other; one is missing"
                    .to_owned())
            }
        }
    }
}

/// Percent-encoded (RFC 3986), all but letters and digits.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() {
            encoded.push(char::from(byte));
        } else {
            // Writing into a text does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_given_whole_or_in_parts_or_not_at_all() {
        let data = Path::new("/data");
        let parts = DatabaseSettings {
            host: Some("db.example"),
            port: "5432",
            name: Some("csa_registry"),
            user: Some("registry"),
            password: Some("p@ss:w/rd"),
            ..DatabaseSettings::default()
        };
        let expected = "postgresql://registry:p%40ss%3Aw%2Frd@db.example:5432/csa%5Fregistry";
        assert_eq!(parts.address(data).as_deref(), Ok(expected));
        assert_eq!(DatabaseSettings::default().address(data).as_deref(), Ok("sqlite:/data/registry.db"));
        let whole = DatabaseSettings { url: Some("sqlite:x"), ..DatabaseSettings::default() };
        assert_eq!(whole.address(data).as_deref(), Ok("sqlite:x"));
        for wrong in [
            DatabaseSettings { url: Some("sqlite:x"), ..parts },
            DatabaseSettings { user: None, ..parts },
            DatabaseSettings { port: "x", ..parts },
        ] {
            let error = wrong.address(data).unwrap_err();
            assert!(!error.contains("p@ss") && !format!("{wrong:?}").contains("p@ss"), "{error}");
        }
    }
}
