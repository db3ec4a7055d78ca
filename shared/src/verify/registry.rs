//! The built-in providers: one scheme file each, embedded, compiled when first asked for.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, OnceLock};

use super::Provider;

/// The scheme files by slug, sorted; `build.rs` lists the folder.
const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/schemes.rs"));

static COMPILED: LazyLock<BTreeMap<&str, OnceLock<Arc<Provider>>>> = LazyLock::new(|| {
    FILES
        .iter()
        .map(|(slug, _)| (*slug, OnceLock::new()))
        .collect()
});

/// The provider with this slug.
pub(super) fn provider(slug: &str) -> Option<Arc<Provider>> {
    let cell = COMPILED.get(slug)?;
    let compile = || {
        let text = file(slug).expect("every cell has its file");
        Arc::new(Provider::parse(slug, text).expect("a test compiles every embedded file"))
    };
    Some(Arc::clone(cell.get_or_init(compile)))
}

/// The scheme file of a provider.
pub(super) fn file(slug: &str) -> Option<&'static str> {
    let index = FILES.binary_search_by_key(&slug, |(name, _)| name).ok()?;
    Some(FILES[index].1)
}

/// All slugs, sorted.
pub(super) fn slugs() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(slug, _)| *slug)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_embedded_in_the_order_of_the_slugs() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/schemes");
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter_map(|name| name.strip_suffix(".toml").map(str::to_owned))
            .collect();
        names.sort();

        let listed: Vec<&str> = slugs().collect();

        assert_eq!(listed, names);
    }

    #[test]
    fn every_embedded_file_compiles() {
        for slug in slugs() {
            assert_eq!(provider(slug).unwrap().slug(), slug);
        }
    }
}
