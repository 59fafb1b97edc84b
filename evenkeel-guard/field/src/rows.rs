//! The table: other people's code, as programs call it.

mod channels;
mod compute;
mod database;
mod files;
mod http;
mod locks;
mod logging;
mod processes;
mod system;
mod text;
mod waiting;

use crate::row::Row;

pub(crate) fn all() -> Vec<Row> {
    let tables = [
        files::rows,
        system::rows,
        processes::rows,
        waiting::rows,
        channels::rows,
        locks::rows,
        http::rows,
        database::rows,
        logging::rows,
        text::rows,
        compute::rows,
    ];
    tables.into_iter().flat_map(|table| table()).collect()
}
