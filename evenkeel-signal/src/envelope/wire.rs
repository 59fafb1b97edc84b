//! The shapes of the wire, as signal-cli writes them.
//!
//! A part that decides little is kept as [`Raw`] text and read when it is wanted, so that it cannot spoil the rest.
//!
//! Source: signal-cli `src/main/java/org/asamk/signal/json/*.java` at `c26e063`.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::loose::{Flag, Number, Presence, Text};

pub(super) type Raw<'a> = Option<&'a RawValue>;

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Frame<'a> {
    #[serde(borrow)]
    pub(super) envelope: Option<Envelope<'a>>,
    pub(super) exception: Presence,
    pub(super) error: Presence,
    /// `callEvent` carries nothing for a bot.
    pub(super) method: Text<'a>,
    /// Around the frame in a JSON-RPC notification.
    pub(super) params: Raw<'a>,
    /// Around the frame in the notification of a subscription.
    pub(super) result: Raw<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Envelope<'a> {
    #[serde(borrow)]
    pub(super) source: Text<'a>,
    pub(super) source_number: Text<'a>,
    pub(super) source_uuid: Text<'a>,
    pub(super) source_name: Text<'a>,
    pub(super) source_device: Number,
    pub(super) timestamp: Number,
    pub(super) data_message: Option<Data<'a>>,
    pub(super) edit_message: Raw<'a>,
    pub(super) sync_message: Raw<'a>,
    pub(super) typing_message: Raw<'a>,
    pub(super) receipt_message: Raw<'a>,
    pub(super) call_message: Presence,
    pub(super) story_message: Raw<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Data<'a> {
    pub(super) timestamp: Number,
    #[serde(borrow)]
    pub(super) message: Option<Strict<'a>>,
    pub(super) group_info: Option<Group<'a>>,
    pub(super) edit_message: Raw<'a>,
    pub(super) reaction: Raw<'a>,
    pub(super) remote_delete: Raw<'a>,
    pub(super) admin_delete: Raw<'a>,
    pub(super) poll_vote: Raw<'a>,
    pub(super) quote: Raw<'a>,
    pub(super) mentions: Raw<'a>,
    pub(super) attachments: Raw<'a>,
    pub(super) sticker: Presence,
    pub(super) poll_create: Presence,
    pub(super) poll_terminate: Presence,
    pub(super) contacts: Raw<'a>,
    pub(super) payment: Presence,
    pub(super) pin_message: Presence,
    pub(super) unpin_message: Presence,
    pub(super) is_expiration_update: Flag,
}

/// A text that must be one.
#[derive(Deserialize)]
pub(super) struct Strict<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// Without its id nobody knows where to answer, so the id is the one strict field.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Group<'a> {
    #[serde(borrow)]
    pub(super) group_id: Cow<'a, str>,
    #[serde(default, rename = "type")]
    pub(super) kind: Text<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Edited<'a> {
    pub(super) target_sent_timestamp: Number,
    #[serde(borrow)]
    pub(super) data_message: Data<'a>,
}

/// Reactions, poll votes and an admin's deletions point at a message in the same way.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Pointer<'a> {
    #[serde(borrow)]
    pub(super) emoji: Text<'a>,
    pub(super) is_remove: Flag,
    pub(super) option_indexes: Vec<u32>,
    #[serde(alias = "author")]
    pub(super) target_author: Text<'a>,
    #[serde(alias = "authorNumber")]
    pub(super) target_author_number: Text<'a>,
    #[serde(alias = "authorUuid")]
    pub(super) target_author_uuid: Text<'a>,
    pub(super) target_sent_timestamp: Number,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Quoted<'a> {
    pub(super) id: Number,
    #[serde(borrow)]
    pub(super) author: Text<'a>,
    pub(super) author_number: Text<'a>,
    pub(super) author_uuid: Text<'a>,
    pub(super) text: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Named<'a> {
    #[serde(borrow)]
    pub(super) name: Text<'a>,
    pub(super) number: Text<'a>,
    pub(super) uuid: Text<'a>,
    pub(super) start: Number,
    pub(super) length: Number,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Attached<'a> {
    #[serde(borrow)]
    pub(super) content_type: Text<'a>,
    pub(super) filename: Text<'a>,
    pub(super) id: Text<'a>,
    pub(super) size: Number,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Deleted {
    pub(super) timestamp: Number,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct TypingNotice<'a> {
    #[serde(borrow)]
    pub(super) action: Text<'a>,
    pub(super) group_id: Raw<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Story<'a> {
    #[serde(borrow)]
    pub(super) group_id: Raw<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ReceiptNotice {
    pub(super) is_delivery: Flag,
    pub(super) is_read: Flag,
    pub(super) is_viewed: Flag,
    pub(super) timestamps: Vec<Number>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Sync<'a> {
    #[serde(borrow)]
    pub(super) sent_message: Raw<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Destination<'a> {
    #[serde(borrow)]
    pub(super) destination: Text<'a>,
    pub(super) destination_number: Text<'a>,
    pub(super) destination_uuid: Text<'a>,
    pub(super) edit_message: Raw<'a>,
}

/// The elements of an array; none if it is no array. A broken element does not spoil its neighbours.
pub(super) fn elements(array: &RawValue) -> impl Iterator<Item = &RawValue> {
    let elements: Vec<&RawValue> = serde_json::from_str(array.get()).unwrap_or_default();
    elements.into_iter()
}

pub(super) fn has_entries(array: Raw<'_>) -> bool {
    array.is_some_and(|array| elements(array).next().is_some())
}
