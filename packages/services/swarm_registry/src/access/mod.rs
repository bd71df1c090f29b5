//! Who may do what, and how often: roles, and the two ways of proving who one is (a token for people, a certificate for sites).

mod host;
mod limit;
mod role;
mod token;

pub(crate) use host::names_this_computer;
pub use limit::RateLimit;
pub use role::{Permission, Role};
pub use token::{Audience, KeyFileError, TokenError, TokenKeys};

use std::collections::BTreeSet;

/// Who asks, as the registry found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub name: String,
    pub roles: BTreeSet<Role>,
}

impl Caller {
    /// Whoever asks under the development profile.
    pub fn developer() -> Self {
        Self { name: "developer".to_owned(), roles: BTreeSet::from([Role::Admin]) }
    }

    /// The bridge of a site, which showed the site's certificate.
    pub fn site(name: String) -> Self {
        Self { name, roles: BTreeSet::from([Role::Site]) }
    }

    pub fn may(&self, permission: Permission) -> bool {
        self.roles.iter().any(|role| role.may(permission))
    }
}
