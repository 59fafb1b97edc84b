//! Who talks to the bot, and what signal-cli makes of their words.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// The number of the bot in all wire data of this crate.
pub const BOT: &str = "+15550100000";

/// Somebody with a Signal account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The account id, the only identity that is always there.
    pub uuid: String,
    /// The phone number, or `None` for one who hides it; the wire then carries `sourceNumber: null`.
    pub number: Option<String>,
    /// The profile name.
    pub name: String,
}

impl Person {
    /// Returns somebody with these three.
    pub fn new(uuid: impl Into<String>, number: impl Into<String>, name: impl Into<String>) -> Self {
        Self { uuid: uuid.into(), number: Some(number.into()), name: name.into() }
    }

    /// Returns Alice of the wire data, `+15550100001`.
    #[must_use]
    pub fn alice() -> Self {
        Self::new("11111111-1111-4111-8111-111111111111", "+15550100001", "Alice")
    }

    /// Returns Bob of the wire data, `+15550100002`.
    #[must_use]
    pub fn bob() -> Self {
        Self::new("22222222-2222-4222-8222-222222222222", "+15550100002", "Bob")
    }

    /// Returns the `n`-th of a crowd, each with a uuid and a fictional number of their own.
    #[must_use]
    pub fn nth(n: u32) -> Self {
        let uuid = format!("{n:08x}-0000-4000-8000-{n:012x}");
        Self::new(uuid, format!("+1555{n:010}"), format!("Person {n}"))
    }

    /// Hides the phone number.
    #[must_use]
    pub fn without_number(mut self) -> Self {
        self.number = None;
        self
    }

    /// Returns what the wire calls `source`: the number, else the uuid.
    #[must_use]
    pub fn source(&self) -> &str {
        self.number.as_deref().unwrap_or(&self.uuid)
    }

    /// Returns an envelope of this person around `kind`, such as `("typingMessage", {..})`.
    pub(super) fn envelope(&self, timestamp: i64, kind: &str, content: Value) -> Value {
        let mut envelope = json!({
            "source": self.source(),
            "sourceNumber": self.number,
            "sourceUuid": self.uuid,
            "sourceName": self.name,
            "sourceDevice": 1,
            "timestamp": timestamp,
            "serverReceivedTimestamp": timestamp,
            "serverDeliveredTimestamp": timestamp,
        });
        envelope[kind] = content;
        envelope
    }
}

/// A group as signal-cli knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Base64 of the 32 bytes of the group id; received messages carry it and no endpoint takes it.
    pub internal_id: String,
    /// The name.
    pub name: String,
    /// Numbers or uuids.
    pub members: Vec<String>,
}

impl Group {
    /// Returns a group whose 32-byte id is `id`, with the bot, Alice and Bob in it.
    pub fn new(id: [u8; 32], name: impl Into<String>) -> Self {
        let members = vec![BOT.to_owned(), "+15550100001".to_owned(), "+15550100002".to_owned()];
        Self { internal_id: STANDARD.encode(id), name: name.into(), members }
    }

    /// Returns the group of the wire data, whose id is the bytes 0 to 31.
    #[must_use]
    pub fn test() -> Self {
        Self::new(std::array::from_fn(|byte| byte as u8), "Test Group")
    }

    /// Returns what endpoints call the group: `group.` and base64 of the internal id.
    #[must_use]
    pub fn rest_id(&self) -> String {
        format!("group.{}", STANDARD.encode(&self.internal_id))
    }

    pub(super) fn info(&self) -> Value {
        json!({"groupId": self.internal_id, "groupName": self.name, "revision": 5, "type": "DELIVER"})
    }

    pub(super) fn listed(&self) -> Value {
        json!({
            "name": self.name,
            "description": "",
            "id": self.rest_id(),
            "internal_id": self.internal_id,
            "members": self.members,
            "blocked": false,
            "member": true,
            "pending_invites": [],
            "pending_requests": [],
            "invite_link": "",
            "admins": self.members.get(..1).unwrap_or_default(),
            "permissions": {
                "add_members": "every-member",
                "edit_group": "every-member",
                "send_messages": "every-member",
            },
        })
    }
}

/// Returns the `dataMessage` of a plain text.
pub(super) fn text(timestamp: i64, message: &str, group: Option<&Group>) -> Value {
    let mut data = json!({
        "timestamp": timestamp,
        "message": message,
        "expiresInSeconds": 0,
        "isExpirationUpdate": false,
        "viewOnce": false,
    });
    if let Some(group) = group {
        data["groupInfo"] = group.info();
    }
    data
}
