use proptest::prelude::*;

use super::*;

fn check(escape: fn(&str) -> String, text: &str, expected: &str) {
    assert_eq!(escape(text), expected, "{text:?}");
}

/// Scenario: the texts of the lab's story `hostile-text`.
/// Guarantees: each stays readable and has no power in the place where it is shown.
#[test]
fn hostile_texts_lose_their_power() {
    check(
        visible,
        "\u{1b}[2J\u{1b}]0;pwned\u{7}all clear",
        r"\u{1b}[2J\u{1b}]0;pwned\u{7}all clear",
    );
    check(visible, "payments\u{202e}gnp.exe", r"payments\u{202e}gnp.exe");
    check(visible, "a\0b\u{200b}\u{feff}c", r"a\u{0}b\u{200b}\u{feff}c");
    check(visible, "two\nlines\tand\r", r"two\nlines\tand\r");
    check(
        mrkdwn,
        "<!channel> urgent <https://evil.example|click>",
        "&lt;!channel&gt; urgent &lt;https://evil.example|click&gt;",
    );
    check(
        mrkdwn,
        "```*bold* _x_ ~y~ &",
        "'''\u{2217}bold\u{2217} \u{ff3f}x\u{ff3f} \u{223c}y\u{223c} &amp;",
    );
    check(
        html,
        "<script>alert(\"1\")</script>",
        "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;",
    );
    check(csv, "=cmd|' /C calc'!A0", "\"'=cmd|' /C calc'!A0\"");
    check(csv, "a \"b\"", "\"a \"\"b\"\"\"");
    check(shell, "shop/cart-5hcp2", "shop/cart-5hcp2");
    check(shell, "'; rm -rf ~ #", "\"'; rm -rf ~ #\"");
    check(shell, "'; rm -rf $HOME #", r"''\''; rm -rf $HOME #'");
    check(shell, "'!!'\"", r#"''\''!!'\''"'"#);
    check(query, "SELECT 'a'", "durward query \"SELECT 'a'\"");
    check(shell, "", "''");
    check(sql, "' OR 1=1; --", "''' OR 1=1; --'");
}

/// Scenario: JSON as it is written, with characters that are not seen, below and beyond the first plane.
/// Guarantees: none is left, and the value is the same.
#[test]
fn json_hides_nothing() {
    check(json, "{\n \"a\": \"\u{202e}x\u{9b}\u{7f}\"}", "{\n \"a\": \"\\u202ex\\u009b\\u007f\"}");
    let value = serde_json::json!({ "a": "tag \u{e0041}\u{feff} end \u{1f600}" });
    let shown = json(&value.to_string());
    assert!(shown.chars().all(|c| !is_hidden(c)), "{shown}");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).expect("JSON"), value);
}

/// Scenario: text that is too long for its place.
/// Guarantees: the result fits, and says how long the whole is.
#[test]
fn long_text_is_cut_and_counted() {
    assert_eq!(shortened("abc", 3), "abc");
    assert_eq!(shortened(&"x".repeat(300), 30).chars().count(), 30);
    assert!(shortened(&"x".repeat(300), 30).ends_with("(300 characters)"));
    assert_eq!(shortened("abcdef", 2).chars().count(), 2);
}

proptest! {
    /// Scenario: any text in any place.
    /// Guarantees: no hidden character passes; no place's own delimiter passes unescaped.
    #[test]
    fn nothing_hidden_passes(text in any::<String>()) {
        for escape in [visible, mrkdwn, html, csv, shell, sql] {
            prop_assert!(!escape(&text).chars().any(is_hidden));
        }
        prop_assert!(!mrkdwn(&text).contains(['<', '>', '*', '_', '~', '`']));
        prop_assert!(!html(&text).contains(['<', '>', '"', '\'']));
        let quoted = sql(&text);
        let inner: String = quoted.chars().skip(1).take(quoted.chars().count() - 2).collect();
        prop_assert!(!inner.replace("''", "").contains('\''));
        let field = csv(&text);
        prop_assert!(!field.starts_with("\"=") && !field.starts_with("\"@"));
    }

    /// Scenario: any text as one word of a command.
    /// Guarantees: a POSIX shell reads it as one word: quotes are balanced and nothing stands outside them but the
    /// escape of a quote; in double quotes nothing stands that it would expand.
    #[test]
    fn a_word_stays_a_word(text in any::<String>()) {
        let word = shell(&text);
        if let Some(inner) = word.strip_prefix('\'') {
            let inner = inner.strip_suffix('\'').unwrap_or_default();
            prop_assert!(!inner.replace(r"'\''", "").contains('\''));
        } else if let Some(inner) = word.strip_prefix('"') {
            let inner = inner.strip_suffix('"').unwrap_or_default();
            prop_assert!(!inner.contains(['"', '$', '`', '\\', '!']));
        } else {
            prop_assert!(!word.contains([' ', '$', '\'', '"', ';', '|', '&', '>', '<', '*', '~']));
        }
    }
}
