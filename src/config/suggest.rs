//! The key that was probably meant.

/// Reads ``unknown field `x`, expected one of a, b`` and gives the expected name nearest to `x`.
pub(super) fn suggestion(message: &str) -> Option<String> {
    let (_, rest) = message.lines().next()?.split_once("unknown field `")?;
    let (found, rest) = rest.split_once('`')?;
    let (_, expected) = rest.split_once("expected ")?;
    let names = expected.trim_start_matches("one of ").split([',', ' ']);
    let names =
        names.map(|name| name.trim_matches('`')).filter(|name| !name.is_empty() && *name != "or");
    let near = |name: &str| strsim::jaro_winkler(found, name);
    let nearest = names.max_by(|a, b| near(a).total_cmp(&near(b)))?;
    (near(nearest) > 0.7).then(|| nearest.to_owned())
}
