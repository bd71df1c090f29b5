//! Who has leased what, and who waits for it.

use std::collections::BTreeMap;

use swarm_base::Role;
use swarm_skill_core::{RoleExecutor, Ticket, Token};
use swarm_view::LeaseView;

/// One role's tickets, and its tokens of the resources that it has leased.
#[derive(Debug)]
struct Asked<'a> {
    role: Role,
    tickets: &'a BTreeMap<String, Ticket>,
    tokens: Vec<(&'a str, Token)>,
}

/// The leases of a run, by resource. Every role of it is played in this process, so that its own report is the truth.
pub(super) fn of(executors: &[RoleExecutor]) -> Vec<LeaseView> {
    let asked = executors.iter().map(|executor| Asked {
        role: executor.spec().role,
        tickets: &executor.report().tickets,
        tokens: executor.tokens().collect(),
    });
    by_resource(asked)
}

fn by_resource<'a>(asked: impl Iterator<Item = Asked<'a>>) -> Vec<LeaseView> {
    let mut holders: BTreeMap<&str, Option<Token>> = BTreeMap::new();
    let mut queues: BTreeMap<&str, Vec<(u64, Role)>> = BTreeMap::new();
    for Asked { role, tickets, tokens } in asked {
        for (resource, ticket) in tickets {
            let resource = resource.as_str();
            let token = tokens.iter().find(|(held, _)| *held == resource).map(|(_, token)| *token);
            let holder = holders.entry(resource).or_default();
            *holder = (*holder).max(token);
            if token.is_none() {
                queues.entry(resource).or_default().push((ticket.number, role));
            }
        }
    }
    let view = |(resource, holder): (&str, Option<Token>)| {
        let mut queue = queues.remove(resource).unwrap_or_default();
        queue.sort_unstable();
        LeaseView {
            resource: resource.to_owned(),
            holder: holder.map(|token| token.role.to_string()).unwrap_or_default(),
            token: holder.map_or(0, |token| token.number),
            epoch: holder.map_or(0, |token| token.epoch),
            waiting: queue.into_iter().map(|(_, role)| role.to_string()).collect(),
        }
    };
    holders.into_iter().map(view).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tickets(of: &[(&str, u64, bool)]) -> BTreeMap<String, Ticket> {
        of.iter()
            .map(|(name, number, held)| ((*name).to_owned(), Ticket { number: *number, held: *held }))
            .collect()
    }

    #[test]
    fn a_holder_has_its_token_and_the_others_stand_in_the_order_of_their_tickets() {
        let (leader, follower, spotter) = (
            tickets(&[("bench", 9, false)]),
            tickets(&[("bench", 7, true), ("light", 1, false)]),
            tickets(&[("bench", 8, false)]),
        );
        let token = Token { epoch: 3, number: 7, role: Role::Follower };
        let found = by_resource(
            [
                Asked { role: Role::Leader, tickets: &leader, tokens: Vec::new() },
                Asked { role: Role::Follower, tickets: &follower, tokens: vec![("bench", token)] },
                Asked { role: Role::Spotter, tickets: &spotter, tokens: Vec::new() },
            ]
            .into_iter(),
        );
        let bench = LeaseView {
            resource: "bench".into(),
            holder: "follower".into(),
            token: 7,
            epoch: 3,
            waiting: vec!["spotter".into(), "leader".into()],
        };
        let light =
            LeaseView { resource: "light".into(), waiting: vec!["follower".into()], ..LeaseView::default() };
        assert_eq!(found, [bench, light]);
    }
}
