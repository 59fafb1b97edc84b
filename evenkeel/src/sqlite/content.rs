//! Numbers, texts and bytes as they lie in the columns of the file.

use rusqlite::types::ValueRef;

/// A number for SQLite, which has no unsigned ones.
pub(crate) fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A number from SQLite, of which we store no negative ones.
pub(crate) fn natural(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// A small number from SQLite.
pub(crate) fn small(value: i64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// What a column holds, if it is a number as we write them: another program may have put in anything.
pub(crate) fn whole(value: ValueRef<'_>) -> Option<u64> {
    if let ValueRef::Integer(number) = value { Some(natural(number)) } else { None }
}

/// Whatever a column of text or bytes holds, as bytes.
pub(crate) fn raw(value: ValueRef<'_>) -> &[u8] {
    match value {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes,
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => &[],
    }
}

/// Whatever a column holds, as text; nothing is an empty one.
pub(crate) fn text(value: ValueRef<'_>) -> String {
    let bytes = raw(value);
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes).into_owned(), str::to_owned)
}

/// Whatever a column holds, as bytes that are kept: another program may have taken digits for a number.
pub(crate) fn bytes(value: ValueRef<'_>) -> Vec<u8> {
    match value {
        ValueRef::Integer(number) => number.to_string().into_bytes(),
        ValueRef::Real(number) => number.to_string().into_bytes(),
        other => raw(other).to_vec(),
    }
}
