//! The key that was probably meant.

/// Reads ``unknown field `x`, expected one of `a`, `b` `` and gives the expected name nearest to `x`.
pub(super) fn suggestion(message: &str) -> Option<String> {
    let (_, rest) = message.split_once("unknown field")?;
    let mut names = rest.split('`').skip(1).step_by(2);
    let found = names.next()?;
    let nearest = names.max_by(|a, b| {
        let near = |name: &str| strsim::jaro_winkler(found, name);
        near(a).total_cmp(&near(b))
    })?;
    (strsim::jaro_winkler(found, nearest) > 0.7).then(|| nearest.to_owned())
}
