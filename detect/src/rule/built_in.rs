pub(crate) const BUILT_IN: &[(&str, &str)] = &[];
