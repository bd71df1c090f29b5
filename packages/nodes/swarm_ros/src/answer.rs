//! Answers to services, also to a client that the middleware has not met yet.
//!
//! A client may ask as soon as *it* has discovered the service; the service may discover the client's side for answers a little
//! later, and much later where a datagram of the discovery was lost. rmw_fastrtps waits 100 ms for it, then drops the answer and
//! reports a time-out; the client would wait for ever. So such an answer is sent again, with growing pauses, from a thread of its
//! own: each try holds the service for those 100 ms, and with it the spin thread.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use r2r::{Error, ServiceRequest, WrappedServiceTypeSupport};

/// Pauses before each further try; together 12.7 s, four times the longest that discovery was seen to take.
const PAUSES: [Duration; 7] = [
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
    Duration::from_millis(800),
    Duration::from_millis(1_600),
    Duration::from_millis(3_200),
    Duration::from_millis(6_400),
];

/// Most answers that wait for their clients at once.
const MOST_LATE: usize = 32;

/// Answers that wait for their clients now.
static LATE: AtomicUsize = AtomicUsize::new(0);

/// Answers a request. An answer that cannot be sent at once is sent later; one that never can be is a warning in the log.
pub(crate) fn respond<S>(service: &str, request: ServiceRequest<S>, response: S::Response)
where
    S: WrappedServiceTypeSupport + 'static,
    S::Request: Clone + Send,
    S::Response: Clone + Send,
{
    match request.clone().respond(response.clone()) {
        Ok(()) => {}
        Err(Error::RCL_RET_TIMEOUT) => {
            tracing::info!("the client of a request to '{service}' is not met yet; answering it later");
            if LATE.fetch_add(1, Ordering::Relaxed) >= MOST_LATE {
                LATE.fetch_sub(1, Ordering::Relaxed);
                tracing::warn!(
                    "cannot answer a request to '{service}': {MOST_LATE} answers wait for their clients already"
                );
                return;
            }
            let service = service.to_owned();
            std::thread::spawn(move || {
                let send = || request.clone().respond(response.clone());
                if let Err(error) = try_again(&PAUSES, std::thread::sleep, send) {
                    tracing::warn!("cannot answer a request to '{service}': {error}");
                }
                LATE.fetch_sub(1, Ordering::Relaxed);
            });
        }
        Err(error) => tracing::warn!("cannot answer a request to '{service}': {error}"),
    }
}

/// Sends after each pause until the middleware takes it; the last error where it never does.
fn try_again(
    pauses: &[Duration],
    mut pause: impl FnMut(Duration),
    mut send: impl FnMut() -> r2r::Result<()>,
) -> r2r::Result<()> {
    let mut result = Err(Error::RCL_RET_TIMEOUT);
    for &next in pauses {
        if !matches!(result, Err(Error::RCL_RET_TIMEOUT)) {
            break;
        }
        pause(next);
        result = send();
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Result, tries and time waited for a middleware that answers `results` one after the other.
    fn outcome(results: Vec<r2r::Result<()>>) -> (bool, usize, Duration) {
        let (mut tries, mut waited) = (0, Duration::ZERO);
        let mut results = results.into_iter();
        let result = try_again(
            &PAUSES,
            |pause| waited += pause,
            || {
                tries += 1;
                results.next().unwrap_or(Err(Error::RCL_RET_TIMEOUT))
            },
        );
        (result.is_ok(), tries, waited)
    }

    #[test]
    fn an_answer_is_sent_again_until_its_client_is_met() {
        let met_late = vec![Err(Error::RCL_RET_TIMEOUT), Err(Error::RCL_RET_TIMEOUT), Ok(())];
        assert_eq!(outcome(met_late), (true, 3, Duration::from_millis(700)));
    }

    #[test]
    fn a_client_that_is_never_met_is_given_up() {
        assert_eq!(outcome(Vec::new()), (false, PAUSES.len(), PAUSES.iter().sum()));
    }

    #[test]
    fn any_other_error_ends_it() {
        assert_eq!(outcome(vec![Err(Error::RCL_RET_ERROR)]), (false, 1, PAUSES[0]));
    }
}
