//! What can be wrong with a journal, an outbox or a recovery.

/// A mistake that the model of a bot makes on demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bug {
    NoFsync,
    AckBeforeCommit,
    DeleteThenReturn,
    RetryOutsideLane,
    DedupeInTwoSteps,
    OutboxAfterSend,
    DoneBeforeReplies,
    RecoveryInWrongOrder,
    UnknownResent,
    DeadForgotten,
    AttemptsForgotten,
    LazyPromise,
    UnsyncedRecovery,
    LazySending,
}

/// All of them, each with what it does.
pub(super) const ALL: [(Bug, &str); 14] = [
    (Bug::NoFsync, "nothing is ever synced"),
    (Bug::AckBeforeCommit, "a message is acknowledged before it is written"),
    (Bug::DeleteThenReturn, "a replay deletes the dead letter first and accepts it anew after that"),
    (Bug::RetryOutsideLane, "the lane goes on while a failed message waits for its next attempt"),
    (Bug::DedupeInTwoSteps, "that a message was seen is looked up before and written after its acceptance"),
    (Bug::OutboxAfterSend, "replies are written down once they were sent"),
    (Bug::DoneBeforeReplies, "a message is done in one transaction, its replies are promised in the next"),
    (Bug::RecoveryInWrongOrder, "lanes are filled from the latest message on after a restart"),
    (Bug::UnknownResent, "a reply in doubt is sent again although its author chose to drop it"),
    (Bug::DeadForgotten, "dead letters are not carried over a restart"),
    (Bug::AttemptsForgotten, "attempts and crashes are not written, so poison is never given up"),
    (Bug::LazyPromise, "replies are promised without a sync, and sent"),
    (Bug::UnsyncedRecovery, "a restart goes on from what the killed process has written and not synced"),
    (Bug::LazySending, "that a reply which must not come twice is being sent is written without a sync"),
];
