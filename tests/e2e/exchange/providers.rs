//! Is a file fetched faster from many than from one?

use rustle_tests::content::pattern;
use rustle_tests::limited;

/// Of each provider: so little that nothing else is in the way.
const MEGABITS_PER_SECOND: u32 = 32;

#[tokio::test]
async fn three_providers_with_slow_lines_are_faster_than_one() {
    let content = pattern(12_000_000);

    let one = limited::fetch(&content, 1, MEGABITS_PER_SECOND).await.unwrap();
    let three = limited::fetch(&content, 3, MEGABITS_PER_SECOND).await.unwrap();

    let line = content.len() as f64 * 8.0 / 1e6 / f64::from(MEGABITS_PER_SECOND);
    assert!(
        0.8 * line < one.as_secs_f64(),
        "the limit holds: {one:?} of {line} s"
    );
    assert!(
        three.as_secs_f64() < 0.6 * one.as_secs_f64(),
        "{three:?} of {one:?}"
    );
}
