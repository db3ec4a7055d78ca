//! The README's table of providers is what the command says: a new scheme file without its line is a red test.

use towline_tests::binaries::{Binary, workspace};
use towline_tests::process::run;

const START: &str = "<!-- providers: written by `TOWLINE_UPDATE_README=1 cargo test -p towline-tests readme::` -->\n";
const END: &str = "<!-- end of providers -->\n";

#[tokio::test]
async fn the_table_of_providers_is_what_the_schemes_say() {
    let folder = tempfile::tempdir().unwrap();
    let path = workspace().join("README.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = readme.split_once(START).expect("the table's first mark");
    let (table, after) = rest.split_once(END).expect("the table's last mark");

    let written = run(
        Binary::Towline,
        folder.path(),
        &["schemes", "list", "--markdown"],
    )
    .await;

    let wanted = format!("\n{}\n", written.stdout);
    if std::env::var_os("TOWLINE_UPDATE_README").is_some() {
        std::fs::write(&path, format!("{before}{START}{wanted}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(written.code, 0, "{written:?}");
    assert!(
        table == wanted,
        "the table is out of date: TOWLINE_UPDATE_README=1 cargo test -p towline-tests readme::"
    );
}
