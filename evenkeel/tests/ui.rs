//! What the compiler says to an author whose function does not fit: the first line names the culprit.

#[test]
fn the_first_line_of_an_error_names_the_culprit() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
