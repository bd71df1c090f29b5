//! Changes of what will be published next, and questions about it.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;

use super::{PublishError, Repository};
use crate::delegation::{DelegatedRole, Delegations};
use crate::key::{Key, KeyId};
use crate::metadata::{Head, Metadata, RoleKeys, Root, Signed, Snapshot, TargetFile, Targets, Timestamp};
use crate::moment::Moment;
use crate::names::{ROOT, SNAPSHOT, TARGETS, TIMESTAMP, TargetPath};
use crate::threshold::Authority;

/// A role that another one trusts with some targets, such as a skill's.
#[derive(Clone, Debug)]
pub struct NewDelegation {
    pub name: String,
    pub keys: Vec<Key>,
    pub threshold: NonZeroU64,
    /// Patterns of the targets it may provide; `*` does not match a `/`.
    pub paths: Vec<String>,
    pub terminating: bool,
}

impl Repository {
    /// Adds a target to a role, or replaces it.
    pub fn set_target(
        &mut self,
        role: &str,
        path: &TargetPath,
        file: TargetFile,
    ) -> Result<(), PublishError> {
        if !self.may_provide(role, path)? {
            return Err(PublishError::NotItsPath { role: role.to_owned(), path: path.to_string() });
        }
        self.change(role)?.targets.insert(path.to_string(), file);
        Ok(())
    }

    /// Withdraws a target; a client does not find it from the next refresh on.
    pub fn remove_target(
        &mut self,
        role: &str,
        path: &TargetPath,
    ) -> Result<Option<TargetFile>, PublishError> {
        Ok(self.change(role)?.targets.remove(path.as_str()))
    }

    /// Delegates to a role, last in the list, or changes the delegation where it stands.
    pub fn delegate(&mut self, delegator: &str, new: &NewDelegation) -> Result<(), PublishError> {
        self.role(delegator)?;
        let role = DelegatedRole {
            name: new.name.clone(),
            keyids: new.keys.iter().map(Key::id).collect(),
            threshold: new.threshold,
            terminating: new.terminating,
            paths: Some(new.paths.clone()),
            path_hash_prefixes: None,
        };
        let refused = |problem| PublishError::BadDelegation { role: new.name.clone(), problem };
        let elsewhere = self.delegator(&new.name).filter(|other| other != delegator);
        if let Some(other) = elsewhere {
            return Err(refused(format!("role '{}' delegates to it already", other.escape_debug())));
        }
        let mut delegations = self.role(delegator)?.delegations.clone().unwrap_or_default();
        delegations.keys.extend(new.keys.iter().map(|key| (key.id(), key.clone())));
        let roles = delegations.roles.get_or_insert_default();
        match roles.iter_mut().find(|other| other.name == role.name) {
            Some(other) => *other = role,
            None => roles.push(role),
        }
        forget_unused(&mut delegations);
        delegations.check().map_err(refused)?;
        self.change(delegator)?.delegations = Some(delegations);
        self.roles.entry(new.name.clone()).or_insert_with(no_targets);
        self.changed.insert(new.name.clone());
        Ok(())
    }

    /// Takes a delegation back, and with it everything that only it leads to.
    pub fn revoke(&mut self, delegator: &str, name: &str) -> Result<(), PublishError> {
        if let Some(delegations) = &mut self.change(delegator)?.delegations {
            delegations.roles.iter_mut().for_each(|roles| roles.retain(|role| role.name != name));
            forget_unused(delegations);
        }
        self.forget_unreachable();
        Ok(())
    }

    /// A targets role has other delegations than `before`: those whom they lead to have to sign, and those to whom nothing
    /// leads any more are gone.
    pub(super) fn follow_delegations(&mut self, role: &str, before: Option<&Delegations>) {
        let Some(delegations) = self.roles.get(role).and_then(|targets| targets.delegations.clone()) else {
            self.forget_unreachable();
            return;
        };
        for next in delegations.roles.iter().flatten() {
            let known = self.roles.contains_key(&next.name);
            let signers = |delegations: &Delegations| {
                let authority = delegations.authority(&next.name)?;
                Some((authority.keyids.to_vec(), authority.threshold))
            };
            if !known || before.and_then(signers) != signers(&delegations) {
                self.roles.entry(next.name.clone()).or_insert_with(no_targets);
                self.changed.insert(next.name.clone());
            }
        }
        self.forget_unreachable();
    }

    fn forget_unreachable(&mut self) {
        let mut reachable = BTreeSet::from([TARGETS.to_owned()]);
        let mut next = vec![TARGETS.to_owned()];
        while let Some(role) = next.pop() {
            for name in self.roles.get(&role).map(delegated_by).unwrap_or_default() {
                if reachable.insert(name.clone()) {
                    next.push(name);
                }
            }
        }
        self.roles.retain(|role, _| reachable.contains(role));
        let roles = &self.roles;
        self.changed
            .retain(|role| matches!(role.as_str(), ROOT | SNAPSHOT | TIMESTAMP) || roles.contains_key(role));
    }

    /// Gives a role other keys. Its metadata is signed anew with them, and so is the metadata that names its keys.
    pub fn set_keys(&mut self, role: &str, keys: &[Key], threshold: NonZeroU64) -> Result<(), PublishError> {
        if matches!(role, ROOT | TARGETS | SNAPSHOT | TIMESTAMP) {
            self.set_top_level_keys(role, keys, threshold);
            return Ok(());
        }
        let delegator = self.delegator(role).ok_or_else(|| self.no_such_role(role))?;
        if let Some(delegations) = &mut self.change(&delegator)?.delegations {
            delegations.keys.extend(keys.iter().map(|key| (key.id(), key.clone())));
            for delegated in delegations.roles.iter_mut().flatten().filter(|other| other.name == role) {
                delegated.keyids = keys.iter().map(Key::id).collect();
                delegated.threshold = threshold;
            }
            forget_unused(delegations);
        }
        self.touch(role)
    }

    pub(super) fn set_top_level_keys(&mut self, role: &str, keys: &[Key], threshold: NonZeroU64) {
        let keyids: Vec<KeyId> = keys.iter().map(Key::id).collect();
        self.root.keys.extend(keys.iter().map(|key| (key.id(), key.clone())));
        self.root.roles.insert(role.to_owned(), RoleKeys { keyids, threshold });
        let used: BTreeSet<&KeyId> = self.root.roles.values().flat_map(|role| &role.keyids).collect();
        self.root.keys.retain(|keyid, _| used.contains(keyid));
        self.changed.insert(ROOT.to_owned());
    }

    /// Has a role signed anew with the next [`Repository::publish`] though nothing in it changed.
    pub fn touch(&mut self, role: &str) -> Result<(), PublishError> {
        if !matches!(role, ROOT | SNAPSHOT | TIMESTAMP) {
            self.role(role)?;
        }
        self.changed.insert(role.to_owned());
        Ok(())
    }

    /// Whether something is to be signed besides the timestamp.
    pub fn has_changes(&self) -> bool {
        !self.changed.is_empty()
    }

    /// A targets role as it will be published.
    pub fn role(&self, role: &str) -> Result<&Targets, PublishError> {
        self.roles.get(role).ok_or_else(|| self.no_such_role(role))
    }

    /// All targets roles, by name.
    pub fn roles(&self) -> &BTreeMap<String, Targets> {
        &self.roles
    }

    /// A target as a client finds it (5.6.7), and the role that provides it.
    pub fn find(&self, path: &TargetPath) -> Option<(&str, &TargetFile)> {
        let mut visited = BTreeSet::new();
        let mut stack = vec![TARGETS.to_owned()];
        while let Some(role) = stack.pop() {
            let Some((name, targets)) = self.roles.get_key_value(&role) else { continue };
            if !visited.insert(role) {
                continue;
            }
            if let Some(file) = targets.targets.get(path.as_str()) {
                return Some((name, file));
            }
            let delegations = targets.delegations.as_ref();
            let next = delegations.map(|delegations| delegations.for_path(path.as_str())).unwrap_or_default();
            if next.last().is_some_and(|last| last.terminating) {
                stack.clear();
            }
            stack.extend(next.into_iter().rev().map(|next| next.role));
        }
        None
    }

    /// The root as it will be published.
    pub fn root(&self) -> &Root {
        &self.root
    }

    pub fn snapshot(&self) -> Option<&Signed<Snapshot>> {
        self.snapshot.as_ref()
    }

    pub fn timestamp(&self) -> Option<&Signed<Timestamp>> {
        self.timestamp.as_ref()
    }

    /// The keys of a role as they will be, and how many must sign.
    pub fn keys(&self, role: &str) -> Option<(Vec<&Key>, NonZeroU64)> {
        let authority = self.authority(role)?;
        let keys = authority.keyids.iter().filter_map(|keyid| authority.keys.get(keyid)).collect();
        Some((keys, authority.threshold))
    }

    pub(super) fn authority(&self, role: &str) -> Option<Authority<'_>> {
        if matches!(role, ROOT | TARGETS | SNAPSHOT | TIMESTAMP) {
            return self.root.authority(role);
        }
        self.roles.values().find_map(|targets| targets.delegations.as_ref()?.authority(role))
    }

    /// When the published version of a role expires.
    pub fn expires(&self, role: &str) -> Option<Moment> {
        match role {
            ROOT => self.published_root.as_ref().map(Signed::expires),
            SNAPSHOT => self.snapshot.as_ref().map(Signed::expires),
            TIMESTAMP => self.timestamp.as_ref().map(Signed::expires),
            _ => self.roles.get(role).map(|targets| targets.head().expires),
        }
    }

    fn may_provide(&self, role: &str, path: &TargetPath) -> Result<bool, PublishError> {
        let mut role = role.to_owned();
        self.role(&role)?;
        while role != TARGETS {
            let delegator = self.delegator(&role).ok_or_else(|| self.no_such_role(&role))?;
            let delegations = self.role(&delegator)?.delegations.as_ref();
            let next = delegations.map(|delegations| delegations.for_path(path.as_str())).unwrap_or_default();
            if !next.iter().any(|next| next.role == role) {
                return Ok(false);
            }
            role = delegator;
        }
        Ok(true)
    }

    fn delegator(&self, role: &str) -> Option<String> {
        self.roles
            .iter()
            .find(|(_, targets)| delegated_by(targets).contains(role))
            .map(|(name, _)| name.clone())
    }

    fn change(&mut self, role: &str) -> Result<&mut Targets, PublishError> {
        if !self.roles.contains_key(role) {
            return Err(self.no_such_role(role));
        }
        self.changed.insert(role.to_owned());
        Ok(self.roles.entry(role.to_owned()).or_insert_with(no_targets))
    }

    fn no_such_role(&self, role: &str) -> PublishError {
        let known: Vec<String> = self.roles.keys().map(|name| name.escape_debug().to_string()).collect();
        PublishError::NoSuchRole { role: role.to_owned(), known: known.join(", ") }
    }
}

pub(super) fn no_targets() -> Targets {
    let head = Head::new::<Targets>(NonZeroU64::MIN, Moment(0));
    Targets { head, targets: BTreeMap::new(), delegations: None }
}

/// The roles that these targets delegate to by name. Bins are read by clients, and not written here.
pub(super) fn delegated_by(targets: &Targets) -> BTreeSet<String> {
    let delegations = targets.delegations.iter();
    delegations
        .flat_map(|delegations| delegations.roles.iter().flatten())
        .map(|role| role.name.clone())
        .collect()
}

fn forget_unused(delegations: &mut Delegations) {
    let mut used: BTreeSet<KeyId> =
        delegations.roles.iter().flatten().flat_map(|role| role.keyids.clone()).collect();
    used.extend(delegations.succinct_roles.iter().flat_map(|succinct| succinct.keyids.clone()));
    delegations.keys.retain(|keyid, _| used.contains(keyid));
}
