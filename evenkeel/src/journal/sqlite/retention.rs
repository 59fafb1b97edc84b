//! What is remembered of events that came.

/// How long and how many events are remembered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Retention {
    pub(super) hours: i64,
    pub(super) rows: i64,
    /// This many rows are kept in the order in which they came, before they are sorted in.
    pub(super) young: usize,
}
