//! Substitution rules: nodes that are replaced while a tree is loaded, to run it without its leaves.
//!
//! A rule has a filter and a replacement. The filter is the name of a node, its id, or a pattern for its path
//! ([`crate::NodeInfo::path`]) with `*` for any text and `?` for any character. The replacement is another node, or a
//! [`TestNode`] that answers what it is told to. The JSON form is that of BehaviorTree.CPP (`loadSubstitutionRuleFromJSON`).
//!
//! A replaced node keeps its place, its name, its pre- and post-conditions; what is below it is left out if the replacement
//! has no children.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::status::Status;

/// Replacements by filter. Where several filters fit a node, the alphabetically first one counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Substitutions {
    rules: BTreeMap<String, Replacement>,
}

/// What stands for a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replacement {
    /// A leaf of the registry or a built-in node, by id. It reads the ports that the original was given.
    Node(String),
    Test(TestNode),
}

/// A node that does nothing but answer, at once or after a while, and run scripts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestNode {
    pub answer: TestAnswer,
    /// How long it answers RUNNING before that, milliseconds of the tick's time.
    pub delay_ms: u32,
    /// Run when the answer is SUCCESS.
    pub success_script: Option<String>,
    /// Run when the answer is FAILURE.
    pub failure_script: Option<String>,
    /// Run after those, whatever the answer.
    pub post_script: Option<String>,
}

/// What a [`TestNode`] answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TestAnswer {
    Always(Status),
    /// A script whose value is the name or number of a status: `(broken == true) ? FAILURE : SUCCESS`.
    Script(String),
}

/// Why a text holds no substitution rules.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubstitutionError {
    #[error("substitution rules are no such JSON: {0}")]
    Json(String),
    #[error("TestNodeConfigs '{config}' needs return_status or return_status_script")]
    NoAnswer { config: String },
    #[error(
        "TestNodeConfigs '{config}' has return_status '{found}', expected RUNNING, SUCCESS, FAILURE or SKIPPED"
    )]
    Status { config: String, found: String },
}

impl TestNode {
    /// Gives this answer at once, every time.
    pub fn answers(status: Status) -> Self {
        TestNode {
            answer: TestAnswer::Always(status),
            delay_ms: 0,
            success_script: None,
            failure_script: None,
            post_script: None,
        }
    }
}

impl Substitutions {
    pub fn new() -> Self {
        Substitutions::default()
    }

    /// Adds a rule; one with the same filter is replaced.
    #[must_use]
    pub fn rule(mut self, filter: impl Into<String>, replacement: Replacement) -> Self {
        self.rules.insert(filter.into(), replacement);
        self
    }

    /// Reads rules as BehaviorTree.CPP writes them:
    ///
    /// ```
    /// let rules = swarm_bt::Substitutions::from_json(r#"{
    ///   "TestNodeConfigs": { "Slow": { "return_status": "SUCCESS", "async_delay": 2000 } },
    ///   "SubstitutionRules": { "pick/*": "Slow", "Talk": "AlwaysSuccess" }
    /// }"#)?;
    /// assert_eq!(rules.len(), 2);
    /// # Ok::<(), swarm_bt::SubstitutionError>(())
    /// ```
    pub fn from_json(text: &str) -> Result<Self, SubstitutionError> {
        let file: File =
            serde_json::from_str(text).map_err(|error| SubstitutionError::Json(error.to_string()))?;
        let mut tests = BTreeMap::new();
        for (name, config) in file.configs {
            let test = config.check(&name)?;
            tests.insert(name, test);
        }
        let replacement = |name: String| match tests.get(&name) {
            Some(test) => Replacement::Test(test.clone()),
            None => Replacement::Node(name),
        };
        Ok(Substitutions {
            rules: file.rules.into_iter().map(|(filter, name)| (filter, replacement(name))).collect(),
        })
    }

    /// All rules, by filter.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Replacement)> {
        self.rules.iter().map(|(filter, replacement)| (filter.as_str(), replacement))
    }

    pub fn len(&self) -> usize {
        self.rules.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// What stands for a node, if a rule fits it.
    pub(crate) fn find(&self, name: &str, id: &str, path: &str) -> Option<&Replacement> {
        let fits = |filter: &str| filter == name || filter == id || matches(path, filter);
        self.rules.iter().find(|(filter, _)| fits(filter)).map(|(_, replacement)| replacement)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default, rename = "TestNodeConfigs")]
    configs: BTreeMap<String, Config>,
    #[serde(rename = "SubstitutionRules")]
    rules: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    return_status: Option<String>,
    #[serde(default)]
    return_status_script: String,
    #[serde(default)]
    async_delay: u32,
    #[serde(default)]
    success_script: String,
    #[serde(default)]
    failure_script: String,
    #[serde(default)]
    post_script: String,
}

impl Config {
    fn check(self, name: &str) -> Result<TestNode, SubstitutionError> {
        let script = |code: String| Some(code).filter(|code| !code.is_empty());
        let fixed = self.return_status.map(|text| {
            status(&text).ok_or_else(|| SubstitutionError::Status { config: name.to_owned(), found: text })
        });
        let answer = match (script(self.return_status_script), fixed.transpose()?) {
            (Some(code), _) => TestAnswer::Script(code),
            (None, Some(status)) => TestAnswer::Always(status),
            (None, None) => return Err(SubstitutionError::NoAnswer { config: name.to_owned() }),
        };
        Ok(TestNode {
            answer,
            delay_ms: self.async_delay,
            success_script: script(self.success_script),
            failure_script: script(self.failure_script),
            post_script: script(self.post_script),
        })
    }
}

/// The numbers that scripts of the original know the statuses by. 0 is IDLE, which is no answer.
pub(crate) const STATUS_NUMBERS: [(&str, i64); 5] =
    [("IDLE", 0), ("RUNNING", 1), ("SUCCESS", 2), ("FAILURE", 3), ("SKIPPED", 4)];

/// An answer by its name.
pub(crate) fn status(name: &str) -> Option<Status> {
    [Status::Running, Status::Success, Status::Failure, Status::Skipped]
        .into_iter()
        .find(|status| status.as_str() == name)
}

/// Whether `text` fits a pattern of `*` and `?`.
fn matches(text: &str, pattern: &str) -> bool {
    let (text, pattern): (Vec<char>, Vec<char>) = (text.chars().collect(), pattern.chars().collect());
    let (mut t, mut p) = (0, 0);
    // Where the last `*` was, and how far the text had been taken by it.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&c) if c == '?' || c == text[t] => {
                t += 1;
                p += 1;
            }
            _ => {
                // The last star takes one character more.
                let Some((at, taken)) = star else { return false };
                star = Some((at, taken + 1));
                (t, p) = (taken + 1, at + 1);
            }
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns() {
        let rows = [
            ("a/b::3", "*", true),
            ("", "*", true),
            ("", "", true),
            ("a", "", false),
            ("mysub/action_A", "mysub/action_*", true),
            ("mysub/action_A", "mysub/action_?", true),
            ("mysub/action_AB", "mysub/action_?", false),
            ("other/action_A", "mysub/action_*", false),
            ("aXbXc", "*X?", true),
            ("aXbXc", "a*b*c", true),
            ("aXbXd", "a*b*c", false),
            ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaab", "a*a*a*a*a*a*a*c", false),
        ];
        for (text, pattern, expected) in rows {
            assert_eq!(matches(text, pattern), expected, "'{text}' against '{pattern}'");
        }
    }
}
