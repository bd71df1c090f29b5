//! Carrying out substitution rules.

use super::build::{Builder, Checked};
use super::builtin::{self, BUILTINS, Family};
use super::error::LoadErrorKind;
use super::nearest;
use super::scope::ScopeId;
use super::source::Element;
use crate::script::{Name, compile};
use crate::substitute::{Replacement, STATUS_NUMBERS, TestAnswer, TestNode};
use crate::tree::{Answer, Kind, ScriptId, TestLeaf};

impl<'d> Builder<'_, 'd> {
    /// The node that stands for an element, and how many children it has.
    pub(super) fn replacement(
        &mut self,
        replacement: &Replacement,
        element: Element<'d>,
        scope: ScopeId,
    ) -> Checked<(Kind, Family)> {
        let id = match replacement {
            Replacement::Test(test) => return Ok((self.test_node(test, scope)?, Family::Leaf)),
            Replacement::Node(id) => id,
        };
        // Attributes are those of the original, which the replacement need not know.
        self.foreign_ports = true;
        let found = if let Some(builtin) = builtin::find(id).filter(|builtin| builtin.id != "SubTree") {
            self.builtin(builtin, element, scope).map(|kind| (kind, builtin.family))
        } else if let Some(model) = self.registry.find(id) {
            Ok((self.leaf(model, element, scope), Family::Leaf))
        } else {
            let known =
                BUILTINS.iter().map(|b| b.id).chain(self.registry.leaves.iter().map(|l| l.id.as_str()));
            Err(LoadErrorKind::UnknownReplacement { id: id.clone(), nearest: nearest(id, known) })
        };
        self.foreign_ports = false;
        found
    }

    fn test_node(&mut self, test: &TestNode, scope: ScopeId) -> Checked<Kind> {
        let answer = match &test.answer {
            TestAnswer::Always(status) => Answer::Always(*status),
            // This script alone knows the statuses by name, as in the original: others may have entries called so.
            TestAnswer::Script(code) => {
                Answer::Script(self.test_script("return_status_script", code, scope, &STATUS_NUMBERS)?)
            }
        };
        let mut script = |attribute, code: &Option<String>| {
            code.as_deref().map(|code| self.test_script(attribute, code, scope, &[])).transpose()
        };
        let leaf = TestLeaf {
            answer,
            delay_ms: i64::from(test.delay_ms),
            on_success: script("success_script", &test.success_script)?,
            on_failure: script("failure_script", &test.failure_script)?,
            post: script("post_script", &test.post_script)?,
        };
        self.tests.push(leaf);
        self.timers += 1;
        Ok(Kind::Test { test: (self.tests.len() - 1) as u16, timer: self.timers - 1 })
    }

    fn test_script(
        &mut self,
        attribute: &str,
        code: &str,
        scope: ScopeId,
        names: &[(&str, i64)],
    ) -> Checked<ScriptId> {
        let (registry, boards) = (self.registry, &mut self.boards);
        let mut resolve = |name: &str| {
            let number = names.iter().find(|(known, _)| *known == name).map(|(_, number)| number);
            match number.or_else(|| registry.enums.get(name)) {
                Some(value) => Name::Enum(*value),
                None => Name::Slot(boards.resolve(scope, name)),
            }
        };
        let script = compile(code, &mut resolve)
            .map_err(|error| LoadErrorKind::Script { attribute: attribute.to_owned(), error })?;
        self.scripts.push(script);
        Ok((self.scripts.len() - 1) as ScriptId)
    }
}
