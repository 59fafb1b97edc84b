//! The primitives that `handover` is written against. The model check puts loom's in their place.

pub(super) use std::sync::Arc;
pub(super) use std::sync::atomic;
pub(super) use std::sync::mpsc;
pub(super) use std::thread;
pub(super) use tokio::sync::oneshot;
