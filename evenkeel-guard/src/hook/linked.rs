//! The wrappers: one row of a table each, by what they wait for.

mod look;
#[macro_use]
mod wrap;
mod time;
mod path;
mod stream;
mod descriptor;
mod lookup;
mod process;
mod thread;
mod queue;
mod raw;
mod cost;

pub(super) use cost::take;
use wrap::Row;

const TABLES: [&[Row]; 9] = [
    time::ROWS,
    path::ROWS,
    stream::ROWS,
    descriptor::ROWS,
    lookup::ROWS,
    process::ROWS,
    thread::ROWS,
    queue::ROWS,
    raw::ROWS,
];

fn rows() -> impl Iterator<Item = &'static Row> {
    TABLES.into_iter().flatten()
}

/// Looks up the function behind each wrapper. Naming every wrapper here is also what has it linked.
pub(super) fn bind() {
    for row in rows() {
        std::hint::black_box(row.wrapper);
        (row.bind)();
    }
}

pub(super) fn symbols() -> impl Iterator<Item = &'static str> {
    rows().map(|row| row.symbol)
}

#[cfg(test)]
mod tests;
