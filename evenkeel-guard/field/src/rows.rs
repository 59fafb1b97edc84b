//! The table: other people's code, as programs call it.

mod channels;
mod compute;
#[cfg(feature = "large")]
mod database;
mod files;
mod http;
#[cfg(feature = "large")]
mod large;
mod locks;
mod logging;
mod processes;
mod system;
mod text;
mod waiting;

use crate::row::Row;

pub(crate) fn all() -> Vec<Row> {
    let tables: &[fn() -> Vec<Row>] = &[
        files::rows,
        system::rows,
        processes::rows,
        waiting::rows,
        channels::rows,
        locks::rows,
        http::rows,
        #[cfg(feature = "large")]
        database::rows,
        #[cfg(feature = "large")]
        large::rows,
        logging::rows,
        text::rows,
        compute::rows,
    ];
    tables.iter().flat_map(|table| table()).collect()
}
