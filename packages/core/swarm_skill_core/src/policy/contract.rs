//! What every [`Policy`] promises, as checks that a test of any implementation runs.

use swarm_base::Duration;

use super::{Policy, PolicyError};

/// Longer than anything takes.
const AMPLE: Duration = Duration::from_millis(600_000);

/// What an answer is never mistaken for.
const UNTOUCHED: f32 = -7.25;

/// Runs all checks.
///
/// # Panics
/// With the broken promise.
pub fn check(policy: &mut dyn Policy) {
    let (observations, actions) = (policy.observation_len(), policy.action_len());
    let zeros = vec![0.0; observations];
    let mut action = vec![UNTOUCHED; actions];

    let long = vec![0.0; observations + 1];
    let refused = policy.infer(&long, &mut action, AMPLE).expect_err("a long observation is refused");
    let expected = observations;
    assert_eq!(refused, PolicyError::Length { what: "observation", found: observations + 1, expected });
    let refused = policy.infer(&zeros, &mut vec![0.0; actions + 1], AMPLE);
    let expected = actions;
    assert_eq!(refused, Err(PolicyError::Length { what: "action", found: actions + 1, expected }));
    assert!(action.iter().all(|value| *value == UNTOUCHED), "a refusal leaves the action as it was");

    // Whoever answers in no time at all is never late.
    match policy.infer(&zeros, &mut action, Duration::ZERO) {
        Ok(took) => assert_eq!(took, Duration::ZERO, "an answer is within its deadline"),
        Err(PolicyError::Late { took, deadline }) => {
            assert!(
                deadline == Duration::ZERO && took > deadline,
                "a late answer took longer than its deadline"
            );
            assert!(action.iter().all(|value| *value == UNTOUCHED), "a late answer is not used");
        }
        Err(error) => panic!("zeros are answered, late or not: {error}"),
    }

    policy.infer(&zeros, &mut action, AMPLE).expect("zeros are answered in time");
    assert!(action.iter().all(|value| *value != UNTOUCHED), "an answer has all its values");
    let first: Vec<u32> = action.iter().map(|value| value.to_bits()).collect();
    policy.infer(&zeros, &mut action, AMPLE).expect("and again");
    let again: Vec<u32> = action.iter().map(|value| value.to_bits()).collect();
    assert_eq!(first, again, "the same observation has the same answer");
}
