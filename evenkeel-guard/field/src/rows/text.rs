//! Serializers, templates and other work on text that is short.

use std::fmt::Debug;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::row::{Row, harmless};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cat {
    pub(crate) name: String,
    pub(crate) age: u32,
    pub(crate) friends: Vec<String>,
}

pub(crate) fn cat() -> Cat {
    let friends = (0..20).map(|number| format!("friend {number}")).collect();
    Cat { name: "Tom".to_owned(), age: 3, friends }
}

/// There and back, a few times.
async fn rounds<T: Debug, U: PartialEq + Debug + DeserializeOwned>(
    mut there: impl FnMut() -> T,
    mut back: impl FnMut(T) -> U,
) -> U {
    for _ in 0..10 {
        drop(back(there()));
        tokio::task::yield_now().await;
    }
    back(there())
}

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = serializer_rows();
    rows.extend(template_rows());
    rows
}

fn serializer_rows() -> Vec<Row> {
    vec![
        harmless("serde_json", "there and back", || {
            rounds(
                || serde_json::to_string(&cat()).unwrap(),
                |text| serde_json::from_str::<Cat>(&text).unwrap(),
            )
        }),
        harmless("bincode", "there and back", || {
            rounds(
                || bincode::serialize(&cat()).unwrap(),
                |bytes| bincode::deserialize::<Cat>(&bytes).unwrap(),
            )
        }),
        harmless("postcard", "there and back", || {
            rounds(
                || postcard::to_stdvec(&cat()).unwrap(),
                |bytes| postcard::from_bytes::<Cat>(&bytes).unwrap(),
            )
        }),
        harmless("rmp-serde", "there and back", || {
            rounds(
                || rmp_serde::to_vec(&cat()).unwrap(),
                |bytes| rmp_serde::from_slice::<Cat>(&bytes).unwrap(),
            )
        }),
        harmless("toml", "there and back", || {
            rounds(|| toml::to_string(&cat()).unwrap(), |text| toml::from_str::<Cat>(&text).unwrap())
        }),
        harmless("quick-xml", "there and back", || {
            rounds(
                || quick_xml::se::to_string(&cat()).unwrap(),
                |text| quick_xml::de::from_str::<Cat>(&text).unwrap(),
            )
        }),
        harmless("csv", "there and back", || {
            rounds(
                || {
                    let mut writer = csv::Writer::from_writer(Vec::new());
                    writer.serialize(("Tom", 3)).unwrap();
                    writer.into_inner().unwrap()
                },
                |bytes| {
                    let reader = csv::ReaderBuilder::new().has_headers(false).from_reader(&bytes[..]);
                    reader.into_deserialize::<(String, u32)>().next().unwrap().unwrap()
                },
            )
        }),
        harmless("base64", "there and back", || {
            use base64::Engine;
            let engine = &base64::engine::general_purpose::STANDARD;
            rounds(move || engine.encode([7; 300]), move |text| engine.decode(text).unwrap())
        }),
    ]
}

fn template_rows() -> Vec<Row> {
    vec![
        harmless("regex", "a pattern that is kept", || async {
            static PATTERN: std::sync::LazyLock<regex::Regex> =
                std::sync::LazyLock::new(|| regex::Regex::new("f[a-z]+d [0-9]").unwrap());
            let text = cat().friends.join(" ");
            let mut count = 0;
            for _ in 0..10 {
                count += PATTERN.find_iter(&text).count();
                tokio::task::yield_now().await;
            }
            count
        }),
        harmless("pulldown-cmark", "to HTML", || async {
            let mut html = String::new();
            pulldown_cmark::html::push_html(&mut html, pulldown_cmark::Parser::new("# Tom\n\n*three*"));
            html
        }),
        harmless("bytes", "a buffer in parts", || async {
            use bytes::{Buf, BufMut};
            let mut buffer = bytes::BytesMut::new();
            for number in 0..20 {
                buffer.put_u32(number);
                tokio::task::yield_now().await;
            }
            buffer.freeze().get_u32()
        }),
    ]
}
