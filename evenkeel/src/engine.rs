//! What happens next.

mod attempt;
mod request;
mod job;

pub(crate) use attempt::{APOLOGY, Attempt, Ending, Failure, HandlerOutcome, free_index};
pub(crate) use job::{Again, JobBody, SCHEDULES};
pub(crate) use request::{Confirmation, HandlerRequest, HandlerRequests, Offer};
