//! Crates that take long to build, but for databases. `run.sh ci` goes without them.

use std::fs;

use evenkeel_guard::Class::{Compute, File};

use crate::row::{Row, blocks, harmless, here, scratch, spin};

use super::compute::text;
use super::text::{Cat, cat};

const TEXT: &str = "{{ name }} is {{ age }}{% for friend in friends %}, {{ friend }}{% endfor %}";

pub(crate) fn rows() -> Vec<Row> {
    vec![
        blocks("zstd", "stream::copy_decode from a file", File, || {
            let path = scratch("zst");
            fs::write(&path, zstd::encode_all(&b"some text"[..], 1).unwrap()).unwrap();
            let opened = fs::File::open(path).unwrap();
            async move {
                let mut text = Vec::new();
                here!(zstd::stream::copy_decode(opened, &mut text)).unwrap();
                text.len()
            }
        }),
        blocks("minijinja", "a template loader", File, || {
            let folder = scratch("templates");
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("hello.txt"), "Hello {{ name }}").unwrap();
            let mut environment = minijinja::Environment::new();
            environment.set_loader(move |name| Ok(here!(fs::read_to_string(folder.join(name))).ok()));
            async move {
                let template = environment.get_template("hello.txt").unwrap();
                template.render(minijinja::context!(name => "Tom")).unwrap()
            }
        }),
        blocks("zstd", "compressing", Compute, || {
            let text = text(1 << 20);
            async move { here!(spin(|| zstd::bulk::compress(&text, 15).unwrap().len())) }
        }),
        harmless("zstd", "a kilobyte", || async { zstd::bulk::compress(&text(1000), 1).unwrap().len() }),
        harmless("minijinja", "render", || async {
            let mut environment = minijinja::Environment::new();
            environment.add_template("page", TEXT).unwrap();
            environment.get_template("page").unwrap().render(cat()).unwrap()
        }),
        harmless("askama", "render", || async {
            use askama::Template;
            let Cat { name, age, friends } = cat();
            Page { name, age, friends }.render().unwrap()
        }),
        harmless("jiff", "the time in a zone", || async {
            let now = jiff::Zoned::now();
            now.with_time_zone(jiff::tz::TimeZone::UTC).to_string().len() > 20
        }),
    ]
}

#[derive(askama::Template)]
#[template(
    source = "{{ name }} is {{ age }}{% for friend in friends %}, {{ friend }}{% endfor %}",
    ext = "txt"
)]
struct Page {
    name: String,
    age: u32,
    friends: Vec<String>,
}
